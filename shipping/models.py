"""Read models: rebuilt from events at will, never written outside of projections."""

from django.db import models

from eventstore.models import ReadModel


class ShipmentView(ReadModel):
    """The parcel of an order as it stands."""

    order_id = models.TextField(primary_key=True)
    status = models.TextField(default="NEW")
    tracking = models.TextField(default="")
    reason = models.TextField(default="")
    address = models.JSONField(default=dict)

    class Meta:
        db_table = "shipping_shipment"
        verbose_name = "shipment"
        indexes = [models.Index(fields=["status", "order_id"], name="shipping_shipment_status")]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"
