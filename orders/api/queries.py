"""Orders and the catalogue. Customers see their own orders, staff all of them, with addresses
hidden until they give a reason (eventstore.api.reveal). Every user sees the catalogue."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied

from access.authorization import is_staff, may_touch, owns
from eventstore.api.queries import MomentParameters, PageParameters, PagesView, RowView
from eventstore.api.serializers import (
    Answer,
    Choice,
    Moment,
    MoneyAnswer,
    MoneyOf,
    OpenChoice,
    Text,
)
from orders import queries
from orders.api import statuses
from orders.models import OrderDetails, ProductView


class LineAnswer(serializers.Serializer):
    """announced, returned: units that are to come back, and that came back."""

    sku = serializers.CharField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = MoneyAnswer()
    announced = serializers.IntegerField()
    returned = serializers.IntegerField()


class ChargeAnswer(serializers.Serializer):
    code = serializers.CharField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = MoneyAnswer()


class AddressAnswer(serializers.Serializer):
    name = serializers.CharField()
    street = serializers.CharField()
    city = serializers.CharField()
    postcode = serializers.CharField()
    country = serializers.CharField()


@extend_schema_field(AddressAnswer)
class AddressOf(serializers.JSONField):
    """As stored."""


class OrderAnswer(Answer):
    order_id = serializers.CharField()
    customer_id = serializers.CharField()
    reference = serializers.CharField()
    status = OpenChoice(statuses.ORDER)
    reason = serializers.CharField()
    payment_status = OpenChoice(statuses.PAYMENT)
    reservation_status = OpenChoice(statuses.RESERVATION)
    shipment_status = OpenChoice(statuses.SHIPMENT)
    tracking = serializers.CharField()
    total = MoneyOf("total")
    lines = serializers.SerializerMethodField()
    charges = serializers.SerializerMethodField()
    address = AddressOf()
    placed_at = serializers.DateTimeField()
    return_status = OpenChoice(statuses.RETURNED)
    refunded = MoneyOf("refunded")

    @extend_schema_field(LineAnswer(many=True))
    def get_lines(self, order: OrderDetails) -> list[dict[str, Any]]:
        return [
            _priced(line, order)
            | {
                "announced": order.announced.get(str(number), 0),
                "returned": order.returned.get(str(number), 0),
            }
            for number, line in enumerate(order.lines, start=1)
        ]

    @extend_schema_field(ChargeAnswer(many=True))
    def get_charges(self, order: OrderDetails) -> list[dict[str, Any]]:
        return [_priced(charge, order) for charge in order.charges]


class ProductAnswer(Answer):
    sku = serializers.CharField()
    name = serializers.CharField()
    price = MoneyOf("price")
    offered = serializers.BooleanField()


class OrdersParameters(PageParameters):
    """placed_from: inclusive. placed_before: exclusive. reference: the order's number in the system
    that it was imported from, such as an invoice number."""

    customer = Text(max_length=150, required=False)
    status = Choice(statuses.ORDER, required=False)
    reference = Text(max_length=150, required=False)
    placed_from = Moment(required=False)
    placed_before = Moment(required=False)


class OrderView(RowView):
    """One order, now or at an earlier version or time."""

    serializer_class = OrderAnswer

    model, parameters, called = OrderDetails, MomentParameters, "order"

    def is_own(self, row: OrderDetails) -> bool:
        return owns(self.request.user, row.customer_id)

    def may_see(self, row: OrderDetails) -> bool:
        return may_touch(self.request.user, row.customer_id)


class OrdersView(PagesView):
    """Orders, the newest first. Customers see their own, staff all."""

    serializer_class = OrderAnswer
    parameters = OrdersParameters
    key, moment, descending = "order_id", "placed_at", True

    def is_own(self, row: OrderDetails) -> bool:
        return owns(self.request.user, row.customer_id)

    def rows(self, customer: str | None = None, **wanted: Any) -> QuerySet[OrderDetails]:
        user: Any = self.request.user
        if customer is not None and not may_touch(user, customer):
            raise PermissionDenied
        if customer is None and is_staff(user):
            orders = queries.list_orders()
        else:
            orders = queries.list_customer_orders(customer or user.customer_id)
        columns = {
            "status": "status",
            "reference": "reference",
            "placed_from": "placed_at__gte",
            "placed_before": "placed_at__lt",
        }
        # The row may exist before the order's own event has been folded; such a row is not listed.
        return orders.filter(
            placed_at__isnull=False, **{columns[name]: value for name, value in wanted.items()}
        )


class ProductDetailsView(RowView):
    """One product, now or at an earlier version or time."""

    serializer_class = ProductAnswer
    model, parameters = ProductView, MomentParameters


class ProductsView(PagesView):
    """The catalogue, in the order of the SKU."""

    serializer_class = ProductAnswer
    key = "sku"

    def rows(self) -> QuerySet[ProductView]:
        return queries.list_products()


def _priced(line: dict[str, Any], order: OrderDetails) -> dict[str, Any]:
    """A line as stored, with the price in full."""
    price = {"amount": line["unit_price"], "currency": order.currency, "exponent": order.exponent}
    return line | {"unit_price": price}
