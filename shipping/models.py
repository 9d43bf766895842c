"""Read models, written by projections alone and rebuilt from events; and the sandbox carrier's
book."""

from django.db import models

from eventstore.models import ReadModel, SandboxCall


class ShipmentView(ReadModel):
    """The parcel of an order. created_at: when its first event was recorded."""

    order_id = models.TextField(primary_key=True)
    status = models.TextField(default="NEW")
    tracking = models.TextField(default="")
    reason = models.TextField(default="")
    address = models.JSONField(default=dict)
    created_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "shipping_shipment"
        verbose_name = "shipment"
        indexes = [
            models.Index(fields=["created_at", "order_id"], name="shipments_by_time"),
            models.Index(
                fields=["status", "created_at", "order_id"], name="shipments_by_status_and_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"


class SandboxParcel(SandboxCall):
    """A call as the sandbox carrier has recorded it; reconciliation compares it with our events."""

    class Kind(models.TextChoices):
        BOOKING = "booking"
        CANCELLATION = "cancellation"

    order_id = models.TextField()
    kind = models.TextField(choices=Kind.choices)
    tracking = models.TextField(default="")

    class Meta:
        db_table = "shipping_sandbox_parcel"
        indexes = [models.Index(fields=["order_id"], name="shipping_sandbox_order")]

    def __str__(self) -> str:
        return f"{self.kind} for {self.order_id}: {self.tracking}"
