"""The outcome of an import, by the read models, and by the log where no read model has it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db.models import Count, F, Func, IntegerField, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth

from eventstore.aggregate import stream_name
from eventstore.models import Event
from inventory.commands import AdjustStock
from inventory.models import StockLevel
from orders.models import OrderDetails, ProductView
from orders.order.aggregate import ORDER
from payments.models import PaymentView
from shipping.models import ShipmentView

from ..retail.london import LONDON
from . import credited, translation
from .survey import Survey


class Outcome(NamedTuple):
    """numbers: by name; report.py compares them with the file's. by_month: orders and their value.

    missing: adjustments of the file that the log does not have. available: units by SKU.
    """

    numbers: Mapping[str, int]
    by_month: Mapping[str, tuple[int, int]]
    missing: Counter[AdjustStock]
    available: Mapping[str, int]


def of_import(survey: Survey) -> Outcome:
    orders = _of(survey, OrderDetails.objects.all())
    stock = StockLevel.objects.filter(sku__in=survey.stock)
    streams = [stream_name(ORDER.category, order_id) for order_id in survey.invoices]
    adjusted = Event.objects.filter(type="inventory.stock_adjusted").values_list(
        "data__sku", "data__quantity", "data__reason"
    )
    recorded = Counter(AdjustStock(*each) for each in adjusted.iterator())
    months = orders.annotate(month=TruncMonth("placed_at", tzinfo=LONDON)).values("month")
    by_month = months.annotate(orders=Count("pk"), value=Sum("total")).order_by("month")
    return Outcome(
        numbers={
            **orders.aggregate(**_ORDERS),
            **_of(survey, PaymentView.objects.all()).aggregate(**_PAYMENTS),
            **_of(survey, ShipmentView.objects.all()).aggregate(**_SHIPMENTS),
            **stock.aggregate(**_STOCK),
            **counted(survey.adjustments & recorded),
            **credited.numbers(survey),
            **Event.objects.filter(stream__in=streams).aggregate(**_LOGGED),
            "products": ProductView.objects.filter(sku__in=survey.products, offered=True).count(),
        },
        by_month={f"{each['month']:%Y-%m}": (each["orders"], each["value"]) for each in by_month},
        missing=survey.adjustments - recorded,
        available=dict(stock.values_list("sku", "available")),
    )


def counted(adjustments: Counter[AdjustStock]) -> dict[str, int]:
    """Lines and units of stock adjustments."""
    return {
        "adjusted_lines": adjustments.total(),
        "adjusted_units": sum(each.quantity * count for each, count in adjustments.items()),
    }


def not_confirmed(survey: Survey) -> list[str]:
    """One line for each order that is not confirmed."""
    orders = _of(survey, OrderDetails.objects.exclude(status="CONFIRMED")).order_by(
        "placed_at", "order_id"
    )
    return [
        f"order {reference} is {status.lower()}: {reason or 'no reason recorded'}"
        for reference, status, reason in orders.values_list("reference", "status", "reason")
    ]


def _of(survey: Survey, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(order_id__in=list(survey.invoices))


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
    "value": Sum(
        "total", filter=Q(currency=translation.CURRENCY, exponent=translation.EXPONENT), default=0
    ),
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
    "units_reserved": Sum("reserved", default=0),
    "units_available": Sum("available", default=0),
    "restocked": -Sum("returned", default=0),
    "skus_at_zero": _count(available=0),
}
