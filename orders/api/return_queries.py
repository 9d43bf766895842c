"""Returns and bookings. Customers see their own returns, staff all of them; bookings are for
staff."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied

from access.authorization import Staff, is_staff, may_touch
from eventstore.api.queries import PageParameters, PagesView, RowView
from eventstore.api.serializers import Answer, Choice, MoneyAnswer, MoneyOf, OpenChoice, Text
from orders import models, queries
from orders.api import statuses

from .queries import ChargeAnswer


class ReturnedLineAnswer(serializers.Serializer):
    """number: of the order's line."""

    number = serializers.IntegerField()
    sku = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = MoneyAnswer()


class ReturnedChargeAnswer(serializers.Serializer):
    """number: of the order's charge."""

    number = serializers.IntegerField()
    code = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = MoneyAnswer()


class CreditedLineAnswer(serializers.Serializer):
    sku = serializers.CharField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = MoneyAnswer()


class ReturnAnswer(Answer):
    return_id = serializers.CharField()
    order_id = serializers.CharField()
    customer_id = serializers.CharField()
    reference = serializers.CharField()
    status = OpenChoice(statuses.RETURN)
    reason = serializers.CharField()
    lines = serializers.SerializerMethodField()
    charges = serializers.SerializerMethodField()
    refund = MoneyOf("refund")
    refunded = MoneyOf("refunded")
    requested_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(ReturnedLineAnswer(many=True))
    def get_lines(self, row: models.ReturnView) -> list[dict[str, Any]]:
        return [_priced(line, row) for line in row.lines]

    @extend_schema_field(ReturnedChargeAnswer(many=True))
    def get_charges(self, row: models.ReturnView) -> list[dict[str, Any]]:
        return [_priced(charge, row) for charge in row.charges]


class BookingAnswer(Answer):
    booking_id = serializers.CharField()
    kind = OpenChoice(statuses.BOOKING)
    customer_id = serializers.CharField()
    reference = serializers.CharField()
    reason = serializers.CharField()
    lines = serializers.SerializerMethodField()
    charges = serializers.SerializerMethodField()
    has_no_sale = serializers.BooleanField()
    amount = MoneyOf("amount")
    booked_at = serializers.DateTimeField()

    @extend_schema_field(CreditedLineAnswer(many=True))
    def get_lines(self, row: models.BookingView) -> list[dict[str, Any]]:
        return [_priced(line, row) for line in row.lines]

    @extend_schema_field(ChargeAnswer(many=True))
    def get_charges(self, row: models.BookingView) -> list[dict[str, Any]]:
        return [_priced(charge, row) for charge in row.charges]


class ReturnsParameters(PageParameters):
    customer = Text(max_length=150, required=False)
    order = Text(max_length=64, required=False)


class BookingsParameters(PageParameters):
    """exceptions: yes for only the credits for which no sale was found."""

    exceptions = Choice(["yes", "no"], default="no")


class ReturnView(RowView):
    """One return."""

    serializer_class = ReturnAnswer
    model = models.ReturnView

    def may_see(self, row: models.ReturnView) -> bool:
        return may_touch(self.request.user, row.customer_id)


class ReturnsView(PagesView):
    """Returns, the newest first. Customers see their own, staff all. The list of another customer's
    order is empty."""

    serializer_class = ReturnAnswer
    parameters = ReturnsParameters
    key, moment, descending = "return_id", "requested_at", True

    def rows(
        self, customer: str | None = None, order: str | None = None
    ) -> QuerySet[models.ReturnView]:
        user: Any = self.request.user
        if customer is not None and not may_touch(user, customer):
            raise PermissionDenied
        if customer is None and is_staff(user):
            rows = queries.list_returns()
        else:
            rows = queries.list_customer_returns(customer or user.customer_id)
        return rows if order is None else rows.filter(order_id=order)


class BookingsView(PagesView):
    """Bookings without an order: credits and adjustments. For staff."""

    permission_classes = [Staff]
    serializer_class = BookingAnswer
    parameters = BookingsParameters
    key = "booking_id"

    def rows(self, exceptions: str) -> QuerySet[models.BookingView]:
        return (
            queries.list_credits_without_sale() if exceptions == "yes" else queries.list_bookings()
        )


def _priced(line: dict[str, Any], row: models.ReturnView | models.BookingView) -> dict[str, Any]:
    """A line as stored, with the price in full."""
    return line | {
        "unit_price": {
            "amount": line["unit_price"],
            "currency": row.currency,
            "exponent": row.exponent,
        }
    }
