"""The outcome of a file's credit notes: returns, credits without an order, and the ledger."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import BigIntegerField, Count, Q, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from eventstore.aggregate import stream_name
from eventstore.models import Event
from orders.models import OrderDetails

CANCELLED = "cancelled on the day of sale"


def numbers(
    order_ids: Sequence[str], returns: QuerySet[Any], bookings: QuerySet[Any]
) -> dict[str, int]:
    """returns, bookings: of the file's invoices."""
    credits, adjustments = bookings.filter(kind="CREDIT"), bookings.filter(kind="ADJUSTMENT")
    returned, goods = _lines(returns, "lines"), _lines(credits, "lines")
    charges = _lines(credits, "charges")
    exceptions = _lines(credits.filter(has_no_sale=True), "lines")
    refunded = returns.aggregate(sum=Sum("refunded", default=0))["sum"]
    wholly, partly = _orders_returned(returns)
    return {
        "allocations": len(returned),
        "units_matched": _units(returned),
        **returns.aggregate(**_RETURNS),
        "refunded": refunded,
        "restocked": -_restocked(returns, credits),
        "value_of_goods": -refunded - _value(goods),
        "exceptions": len(exceptions),
        "units_unmatched": _units(exceptions),
        "value_unmatched": _value(exceptions),
        "charge_credits": len(charges),
        "value_of_charges": -_value(charges),
        "guest_notes": credits.filter(customer_id="").count(),
        "ledger_lines": adjustments.count(),
        "ledger_value": adjustments.aggregate(sum=Sum("amount", default=0))["sum"],
        "wholly_returned": wholly,
        "partly_returned": partly,
        "credit_notes": len(_notes(returns) | _notes(credits)),
        "ledger": _ledger(order_ids, returns, bookings),
    }


def not_completed(returns: QuerySet[Any]) -> list[str]:
    """One line for each return that is not restocked and refunded."""
    open_ = returns.exclude(status="COMPLETED").order_by("reference", "return_id")
    rows = list(open_.values_list("reference", "order_id", "status"))
    invoices = dict(
        OrderDetails.objects.filter(order_id__in=[row[1] for row in rows]).values_list(
            "order_id", "reference"
        )
    )
    return [
        f"return {reference} of order {invoices.get(order_id)} is {status.lower()}"
        for reference, order_id, status in rows
    ]


def _orders_returned(returns: QuerySet[Any]) -> tuple[int, int]:
    """Orders of which these returns bring back all priced goods, and only some."""
    units: Counter[str] = Counter()
    for order_id, lines in returns.values_list("order_id", "lines"):
        units[order_id] += _units(lines)
    orders = OrderDetails.objects.filter(order_id__in=list(units)).values_list("order_id", "lines")
    wholly = sum(
        units[order_id] == _units(line for line in lines if line["unit_price"])
        for order_id, lines in orders.iterator()
    )
    return wholly, len(units) - wholly


def _restocked(returns: QuerySet[Any], credits: QuerySet[Any]) -> int:
    """Units, by the log."""
    keys = [*returns.values_list("pk", flat=True), *credits.values_list("pk", flat=True)]
    restocked = Event.objects.filter(
        stream__in=[stream_name("restocking", key) for key in keys],
        type="inventory.goods_restocked",
    )
    return sum(_units(lines) for lines in restocked.values_list("data__lines", flat=True))


def _ledger(order_ids: Sequence[str], returns: QuerySet[Any], bookings: QuerySet[Any]) -> int:
    """By the log alone: payments - refunds - credits + ledger adjustments."""
    payments = _sums(_streams("payment", order_ids), "data__amount__amount")
    booked_streams = _streams("booking", bookings.values_list("pk", flat=True))
    booked = _sums(booked_streams, "data__amount__amount")
    credited = _sums(booked_streams, "data__total__amount")
    return_ids = set(returns.values_list("pk", flat=True))
    refunds = Event.objects.filter(
        stream__in=_streams("payment", set(returns.values_list("order_id", flat=True))),
        type="payments.part_refunded",
    ).values_list("data__refund_id", "data__amount__amount")
    return int(
        payments["payments.payment_completed"]
        - payments["payments.payment_refunded"]
        - sum(amount for refund_id, amount in refunds if refund_id in return_ids)
        - credited["orders.credit_issued"]
        + booked["orders.ledger_adjusted"]
    )


def _streams(category: str, keys: Iterable[str]) -> list[str]:
    return [stream_name(category, key) for key in keys]


def _sums(streams: Sequence[str], amount: str) -> Mapping[str, int]:
    """By stored type of event."""
    by_type = Event.objects.filter(stream__in=streams).values("type").order_by("type")
    summed = by_type.annotate(sum=Sum(Cast(KT(amount), BigIntegerField()), default=0))
    return Counter(dict(summed.values_list("type", "sum")))


def _notes(rows: QuerySet[Any]) -> set[str]:
    return set(rows.values_list("reference", flat=True))


def _lines(rows: QuerySet[Any], column: str) -> list[dict[str, Any]]:
    return [line for each in rows.values_list(column, flat=True).iterator() for line in each]


def _units(lines: Iterable[Mapping[str, Any]]) -> int:
    return sum(line["quantity"] for line in lines)


def _value(lines: Iterable[Mapping[str, Any]]) -> int:
    return sum(line["quantity"] * line["unit_price"] for line in lines)


_RETURNS = {
    "returns_completed": Count("pk", filter=Q(status="COMPLETED")),
    "value_matched": Sum("refund", default=0),
    "cancelled_on_the_day": Count("pk", filter=Q(reason=CANCELLED)),
}
