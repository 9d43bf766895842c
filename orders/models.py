"""Read models: rebuilt from events at will, never written outside of projections."""

from django.db import models

from eventstore.models import ReadModel


class OrderDetails(ReadModel):
    """All about one order in one row. total: in units of 10 ** -exponent of the currency."""

    order_id = models.TextField(primary_key=True)
    customer_id = models.TextField(default="")
    reference = models.TextField(default="")
    status = models.TextField(default="PLACED")
    payment_status = models.TextField(default="NONE")
    reservation_status = models.TextField(default="NONE")
    shipment_status = models.TextField(default="NONE")
    tracking = models.TextField(default="")
    reason = models.TextField(default="")
    total = models.BigIntegerField(default=0)
    currency = models.TextField(default="")
    exponent = models.SmallIntegerField(default=2)
    lines = models.JSONField(default=list)
    charges = models.JSONField(default=list)
    address = models.JSONField(default=dict)
    placed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "orders_order_details"
        verbose_name_plural = "order details"
        indexes = [
            models.Index(fields=["customer_id", "order_id"], name="orders_of_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"


class ProductView(ReadModel):
    """The catalogue. price: in units of 10 ** -exponent of the currency."""

    sku = models.TextField(primary_key=True)
    name = models.TextField(default="")
    price = models.BigIntegerField(default=0)
    currency = models.TextField(default="")
    exponent = models.SmallIntegerField(default=2)
    offered = models.BooleanField(default=False)

    class Meta:
        db_table = "orders_product"
        verbose_name = "product"

    def __str__(self) -> str:
        return f"{self.sku}: {self.name}"
