"""Read models, written by projections alone and rebuilt from events."""

from django.db import models
from django.db.models.functions import Collate, Reverse

from eventstore.models import ReadModel


class OrderDetails(ReadModel):
    """One order in one row. total, refunded: in units of 10 ** -exponent of the currency.

    announced, returned: units that are to come back, and that came back, by line number.
    """

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
    return_status = models.TextField(default="NONE")
    announced = models.JSONField(default=dict)
    returned = models.JSONField(default=dict)
    refunded = models.BigIntegerField(default=0)

    class Meta:
        db_table = "orders_order_details"
        verbose_name = "order"
        verbose_name_plural = "order details"
        indexes = [
            models.Index(
                fields=["customer_id", "placed_at", "order_id"], name="orders_of_customer_by_time"
            ),
            models.Index(
                fields=["status", "placed_at", "order_id"], name="orders_by_status_and_time"
            ),
            models.Index(fields=["placed_at", "order_id"], name="orders_by_placed_at"),
            models.Index(fields=["reference", "placed_at", "order_id"], name="orders_by_reference"),
            models.Index(Collate(Reverse("order_id"), "C"), name="orders_by_end_of_id"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"


class ReturnView(ReadModel):
    """One return. lines: as announced, then as they arrived. refund: the refund due, refunded: the
    refund made, in units of 10 ** -exponent of the currency."""

    return_id = models.TextField(primary_key=True)
    order_id = models.TextField(default="")
    customer_id = models.TextField(default="")
    reference = models.TextField(default="")
    status = models.TextField(default="REQUESTED")
    reason = models.TextField(default="")
    lines = models.JSONField(default=list)
    charges = models.JSONField(default=list)
    refund = models.BigIntegerField(default=0)
    refunded = models.BigIntegerField(default=0)
    currency = models.TextField(default="")
    exponent = models.SmallIntegerField(default=2)
    requested_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "orders_return"
        verbose_name = "return"
        indexes = [
            models.Index(fields=["order_id", "requested_at", "return_id"], name="returns_of_order"),
            models.Index(
                fields=["customer_id", "requested_at", "return_id"], name="returns_of_customer"
            ),
            models.Index(fields=["requested_at", "return_id"], name="returns_by_time"),
            models.Index(fields=["status", "return_id"], name="returns_by_status"),
            models.Index(fields=["reference", "return_id"], name="returns_by_reference"),
            models.Index(Collate(Reverse("return_id"), "C"), name="returns_by_end_of_id"),
        ]

    def __str__(self) -> str:
        return f"{self.return_id}: {self.status}"


class BookingView(ReadModel):
    """A booking without an order. amount: added to the books, below 0 for a credit.

    kind: CREDIT or ADJUSTMENT. has_no_sale: a credit for goods of a known customer, for which no
    sale was found.
    """

    booking_id = models.TextField(primary_key=True)
    kind = models.TextField(default="")
    customer_id = models.TextField(default="")
    reference = models.TextField(default="")
    reason = models.TextField(default="")
    lines = models.JSONField(default=list)
    charges = models.JSONField(default=list)
    has_no_sale = models.BooleanField(default=False)
    amount = models.BigIntegerField(default=0)
    currency = models.TextField(default="")
    exponent = models.SmallIntegerField(default=2)
    booked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "orders_booking"
        verbose_name = "booking"
        indexes = [
            models.Index(fields=["has_no_sale", "booking_id"], name="bookings_without_sale"),
            models.Index(fields=["reference"], name="bookings_by_reference"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_id}: {self.kind}"


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
