"""Orders and the catalogue. Customers see their own orders, staff all of them, with addresses
hidden until they give a reason (eventstore.api.reveal). Every user sees the catalogue."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied

from access.authorization import is_staff, may_touch, owns
from eventstore.api.queries import MomentParameters, PageParameters, PagesView, RowView
from eventstore.api.serializers import Answer, MoneyAnswer, MoneyOf, Text
from orders import queries
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
    status = serializers.CharField()
    reason = serializers.CharField()
    payment_status = serializers.CharField()
    reservation_status = serializers.CharField()
    shipment_status = serializers.CharField()
    tracking = serializers.CharField()
    total = MoneyOf("total")
    lines = serializers.SerializerMethodField()
    charges = serializers.SerializerMethodField()
    address = AddressOf()
    placed_at = serializers.DateTimeField()
    return_status = serializers.CharField()
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
    """placed_from: inclusive. placed_before: exclusive."""

    customer = Text(max_length=150, required=False)
    status = serializers.ChoiceField(
        ["PLACED", "CONFIRMED", "CANCELLED", "REFUNDING", "REFUNDED"], required=False
    )
    placed_from = serializers.DateTimeField(required=False)
    placed_before = serializers.DateTimeField(required=False)


class OrderView(RowView):
    serializer_class = OrderAnswer

    model, parameters, called = OrderDetails, MomentParameters, "order"

    def is_own(self, row: OrderDetails) -> bool:
        return owns(self.request.user, row.customer_id)

    def may_see(self, row: OrderDetails) -> bool:
        return may_touch(self.request.user, row.customer_id)


class OrdersView(PagesView):
    """The newest first."""

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
            "placed_from": "placed_at__gte",
            "placed_before": "placed_at__lt",
        }
        # The row may exist before the order's own event has been folded; such a row is not listed.
        return orders.filter(
            placed_at__isnull=False, **{columns[name]: value for name, value in wanted.items()}
        )


class ProductDetailsView(RowView):
    serializer_class = ProductAnswer
    model, parameters = ProductView, MomentParameters


class ProductsView(PagesView):
    serializer_class = ProductAnswer
    key = "sku"

    def rows(self) -> QuerySet[ProductView]:
        return queries.list_products()


def _priced(line: dict[str, Any], order: OrderDetails) -> dict[str, Any]:
    """A line as stored, with the price in full."""
    price = {"amount": line["unit_price"], "currency": order.currency, "exponent": order.exponent}
    return line | {"unit_price": price}
