"""What an import has come to, found by the numbers of its invoices: by the read models, and by the
log where no read model has it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Func, IntegerField, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth

from eventstore.aggregate import stream_name
from eventstore.models import Event
from inventory.models import StockLevel
from orders.models import BookingView, OrderDetails, ProductView, ReturnView
from payments.models import PaymentView
from shipping.models import ShipmentView

from . import credited
from .file_totals import FileTotals

LONDON = ZoneInfo("Europe/London")
CURRENCY, EXPONENT = "GBP", 3
NOT_RESERVED = ("NONE", "FAILED", "RELEASED")


class Outcome(NamedTuple):
    """numbers: by name; report.py compares them with the file's. by_month: orders and their value.

    missing: units by invoice and SKU of stock adjustments that the log does not have. available:
    units by SKU. unfinished: one line for each order and return that is not done.
    """

    numbers: Mapping[str, int]
    by_month: Mapping[str, tuple[int, int]]
    missing: Counter[tuple[str, str]]
    available: Mapping[str, int]
    unfinished: list[str]


def of_import(file: FileTotals) -> Outcome:
    invoices = sorted(file.invoices["order"])
    orders = _all(OrderDetails, "reference", invoices)
    order_ids = list(orders.values_list("order_id", flat=True))
    stock = StockLevel.objects.filter(sku__in=file.skus)
    streams = [stream_name("order", each) for each in order_ids]
    recorded = _recorded_adjustments(file.invoices["stock"])
    adjusted = {key: units for key, (units, _) in recorded.items()}
    months = orders.annotate(month=TruncMonth("placed_at", tzinfo=LONDON)).values("month")
    by_month = months.annotate(orders=Count("pk"), value=Sum("total")).order_by("month")
    returns = _all(ReturnView, "reference", sorted(file.invoices["credit"]))
    bookings = _all(
        BookingView, "reference", sorted(file.invoices["credit"] | file.invoices["ledger"])
    )
    return Outcome(
        numbers={
            **orders.aggregate(**_ORDERS),
            **PaymentView.objects.filter(order_id__in=order_ids).aggregate(**_PAYMENTS),
            **ShipmentView.objects.filter(order_id__in=order_ids).aggregate(**_SHIPMENTS),
            **stock.aggregate(**_STOCK),
            **Event.objects.filter(stream__in=streams).aggregate(**_LOGGED),
            **credited.numbers(order_ids, returns, bookings),
            "units_reserved": _units_reserved(orders),
            "adjusted_lines": sum(lines for _, lines in recorded.values()),
            "adjusted_units": sum(adjusted.values()),
            "products": ProductView.objects.filter(sku__in=file.products).count(),
        },
        by_month={f"{each['month']:%Y-%m}": (each["orders"], each["value"]) for each in by_month},
        missing=Counter(
            {
                key: units - adjusted.get(key, 0)
                for key, units in file.adjustments.items()
                if units != adjusted.get(key, 0)
            }
        ),
        available=dict(stock.values_list("sku", "available")),
        unfinished=[*_not_confirmed(orders), *credited.not_completed(returns)],
    )


def is_alone(file: FileTotals, opening_units: int) -> bool:
    """Whether the file's products have moved by this file alone, so that the present stock can be
    compared with it."""
    order_ids = OrderDetails.objects.values_list("reference", flat=True)
    others = order_ids.exclude(reference="").count() - len(file.invoices["order"])
    received = StockLevel.objects.filter(sku__in=file.skus).aggregate(
        sum=Sum("received", default=0), reserved=Sum("reserved", default=0)
    )
    units = sum(order.units for order in file.orders.values())
    return not others and (received["sum"], received["reserved"]) == (opening_units, units)


def _all(model: Any, column: str, values: list[str]) -> QuerySet[Any]:
    found: QuerySet[Any] = model.objects.filter(**{f"{column}__in": values})
    return found


def _units_reserved(orders: QuerySet[Any]) -> int:
    lines = orders.exclude(reservation_status__in=NOT_RESERVED).values_list("lines", flat=True)
    return sum(line["quantity"] for each in lines.iterator() for line in each)


def _recorded_adjustments(
    invoices: Iterable[str],
) -> dict[tuple[str, str], tuple[int, int]]:
    """Units and lines by invoice and SKU. The reason of an adjustment begins with its invoice."""
    wanted, found = set(invoices), dict[tuple[str, str], tuple[int, int]]()
    adjusted = Event.objects.filter(type="inventory.stock_adjusted").values_list(
        "data__sku", "data__quantity", "data__reason"
    )
    for sku, quantity, reason in adjusted.iterator():
        begin, _, rest = reason.partition(" ")
        invoice = rest.partition(":")[0]
        if begin == "invoice" and invoice in wanted:
            units, lines = found.get((invoice, sku), (0, 0))
            found[invoice, sku] = units + quantity, lines + 1
    return found


def _not_confirmed(orders: QuerySet[Any]) -> list[str]:
    open_ = orders.exclude(status="CONFIRMED").order_by("placed_at", "order_id")
    return [
        f"order {reference} is {status.lower()}: {reason or 'no reason recorded'}"
        for reference, status, reason in open_.values_list("reference", "status", "reason")
    ]


def _entries(column: str) -> Func:
    return Func(F(column), function="jsonb_array_length", output_field=IntegerField())


def _count(**that: Any) -> Count:
    return Count("pk", filter=Q(**that))


_ORDERS = {
    "orders": Count("pk"),
    "confirmed": _count(status="CONFIRMED"),
    "guests": _count(customer_id=""),
    "customers": Count("customer_id", filter=~Q(customer_id=""), distinct=True),
    "without_goods": _count(lines=[]),
    "of_value_zero": _count(total=0),
    "all_lines": Sum(_entries("lines") + _entries("charges"), default=0),
    "goods_lines": Sum(_entries("lines"), default=0),
    "charge_lines": Sum(_entries("charges"), default=0),
    "value": Sum("total", filter=Q(currency=CURRENCY, exponent=EXPONENT), default=0),
}
# Payments of confirmed orders; their refunds are counted separately.
_PAID = Q(status__in=("COMPLETED", "PARTLY_REFUNDED", "REFUNDED"))
_PAYMENTS = {
    "payments": Count("pk", filter=_PAID),
    "charged": Count("pk", filter=_PAID & ~Q(amount=0)),
    "paid": Sum("amount", filter=_PAID, default=0),
}
_LOGGED = {
    "placed_in_log": _count(type="orders.order_placed"),
    "confirmed_in_log": _count(type="orders.order_confirmed"),
}
_SHIPMENTS = {
    "shipments": _count(status__in=("CREATED", "SHIPPED", "DELIVERED")),
}
_STOCK = {
    "skus": Count("pk"),
    "units_received": Sum("received", default=0),
    "units_available": Sum("available", default=0),
    "skus_at_zero": _count(available=0),
}
