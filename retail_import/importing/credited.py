"""The outcome of a file's credit notes: returns, credits without an order, and the ledger."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import BigIntegerField, Count, Q, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from eventstore.aggregate import stream_name
from eventstore.models import Event
from orders.bookkeeping.aggregate import BOOKING
from orders.models import BookingView, OrderDetails, ReturnView

from . import translation
from .survey import Survey

# The stream of a payment is named by its order.
PAYMENT = "payment"


def numbers(survey: Survey) -> dict[str, int]:
    returns = ReturnView.objects.filter(return_id__in=list(survey.returns))
    bookings = BookingView.objects.filter(booking_id__in=_bookings(survey))
    orders = OrderDetails.objects.filter(order_id__in=list(survey.invoices))
    credits, adjustments = bookings.filter(kind="CREDIT"), bookings.filter(kind="ADJUSTMENT")
    returned, goods = _lines(returns, "lines"), _lines(credits, "lines")
    charges = _lines(credits, "charges")
    exceptions = _lines(credits.filter(has_no_sale=True), "lines")
    refunded = returns.aggregate(sum=Sum("refunded", default=0))["sum"]
    return {
        "allocations": len(returned),
        "units_matched": _units(returned),
        **returns.aggregate(**_RETURNS),
        "refunded": refunded,
        "value_of_goods": -refunded - _value(goods),
        "exceptions": len(exceptions),
        "units_unmatched": _units(exceptions),
        "value_unmatched": _value(exceptions),
        "charge_credits": len(charges),
        "value_of_charges": -_value(charges),
        "value_of_goods_without_order": _value(goods),
        "guest_notes": credits.filter(customer_id="").count(),
        "ledger_lines": adjustments.count(),
        "ledger_value": adjustments.aggregate(sum=Sum("amount", default=0))["sum"],
        **orders.aggregate(**_ORDERS),
        "credit_notes": len(_notes(returns) | _notes(credits)),
        "ledger": ledger(survey),
    }


def not_completed(survey: Survey) -> list[str]:
    """One line for each return that is not restocked and refunded."""
    open_ = ReturnView.objects.filter(return_id__in=list(survey.returns)).exclude(
        status="COMPLETED"
    )
    rows = open_.order_by("reference", "return_id").values_list("reference", "order_id", "status")
    return [
        f"return {reference} of order {survey.invoices[order_id]} is {status.lower()}"
        for reference, order_id, status in rows
    ]


def ledger(survey: Survey) -> int:
    """By the log alone: payments - refunds - credits + ledger adjustments."""
    paid = _sums(PAYMENT, survey.invoices, "data__amount__amount")
    booked = _sums(BOOKING.category, _bookings(survey), "data__amount__amount")
    credited = _sums(BOOKING.category, _bookings(survey), "data__total__amount")
    refunded = paid["payments.part_refunded"] + paid["payments.payment_refunded"]
    return (
        paid["payments.payment_completed"]
        - refunded
        - credited["orders.credit_issued"]
        + booked["orders.ledger_adjusted"]
    )


def _sums(category: str, keys: Iterable[str], amount: str) -> Mapping[str, int]:
    """By stored type of event."""
    streams = [stream_name(category, key) for key in keys]
    by_type = Event.objects.filter(stream__in=streams).values("type").order_by("type")
    summed = by_type.annotate(sum=Sum(Cast(KT(amount), BigIntegerField()), default=0))
    return Counter(dict(summed.values_list("type", "sum")))


def _bookings(survey: Survey) -> list[str]:
    return [translation.booking_id(invoice) for invoice in (*survey.notes, *survey.ledger)]


def _notes(rows: Any) -> set[str]:
    return set(rows.values_list("reference", flat=True))


def _lines(rows: Any, column: str) -> list[dict[str, Any]]:
    return [line for each in rows.values_list(column, flat=True).iterator() for line in each]


def _units(lines: Iterable[dict[str, Any]]) -> int:
    return sum(line["quantity"] for line in lines)


def _value(lines: Iterable[dict[str, Any]]) -> int:
    return sum(line["quantity"] * line["unit_price"] for line in lines)


_RETURNS = {
    "returns_completed": Count("pk", filter=Q(status="COMPLETED")),
    "value_matched": Sum("refund", default=0),
    "cancelled_on_the_day": Count("pk", filter=Q(reason=translation.CANCELLED)),
}
_ORDERS = {
    "wholly_returned": Count("pk", filter=Q(return_status="RETURNED")),
    "partly_returned": Count("pk", filter=Q(return_status="PARTLY_RETURNED")),
}
