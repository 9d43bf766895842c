"""Read models: rebuilt from events at will, never written outside of projections."""

from django.db import models

from eventstore.models import ReadModel


class PaymentView(ReadModel):
    """The payment of an order as it stands. amount, refunded: in units of 10 ** -exponent of the currency."""

    order_id = models.TextField(primary_key=True)
    status = models.TextField(default="NEW")
    amount = models.BigIntegerField(default=0)
    refunded = models.BigIntegerField(default=0)
    currency = models.TextField(default="")
    exponent = models.SmallIntegerField(default=2)
    method = models.TextField(default="")
    reference = models.TextField(default="")
    reason = models.TextField(default="")

    class Meta:
        db_table = "payments_payment"
        verbose_name = "payment"
        indexes = [models.Index(fields=["status", "order_id"], name="payments_payment_status")]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"
