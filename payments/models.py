"""Read models, written by projections alone and rebuilt from events; and the sandbox gateway's
book."""

from django.db import models

from eventstore.models import ReadModel, SandboxCall


class PaymentView(ReadModel):
    """The payment of an order. amount, refunded: in units of 10 ** -exponent of the currency.

    created_at: when its first event was recorded.
    """

    order_id = models.TextField(primary_key=True)
    status = models.TextField(default="NEW")
    amount = models.BigIntegerField(default=0)
    refunded = models.BigIntegerField(default=0)
    currency = models.TextField(default="")
    exponent = models.SmallIntegerField(default=2)
    method = models.TextField(default="")
    reference = models.TextField(default="")
    reason = models.TextField(default="")
    created_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "payments_payment"
        verbose_name = "payment"
        indexes = [
            models.Index(fields=["created_at", "order_id"], name="payments_by_time"),
            models.Index(
                fields=["status", "created_at", "order_id"], name="payments_by_status_and_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"


class SandboxEntry(SandboxCall):
    """A call as the sandbox gateway has recorded it; reconciliation compares it with our events.

    asked: in units of 10 ** -exponent of the currency. amount: what has moved of it, all or
    nothing. method: of a charge; it decides the outcome of the charge and of the order's refunds.
    """

    class Kind(models.TextChoices):
        CHARGE = "charge"
        REFUND = "refund"

    order_id = models.TextField()
    kind = models.TextField(choices=Kind.choices)
    asked = models.BigIntegerField()
    amount = models.GeneratedField(
        expression=models.Case(
            models.When(tries__gte=models.F("done_at"), then=models.F("asked")),
            default=models.Value(0),
        ),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    currency = models.TextField()
    exponent = models.SmallIntegerField()
    method = models.TextField(default="")
    reference = models.TextField()

    class Meta:
        db_table = "payments_sandbox_entry"
        verbose_name_plural = "sandbox entries"
        indexes = [models.Index(fields=["order_id"], name="payments_sandbox_order")]

    def __str__(self) -> str:
        return f"{self.kind} for {self.order_id}: {self.amount} of {self.asked}"
