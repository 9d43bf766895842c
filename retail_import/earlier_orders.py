"""Orders of earlier imports: credit notes of a later file may return their goods."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from eventstore.aggregate import stream_name
from eventstore.models import Event
from orders.models import OrderDetails, ReturnView
from orders.order.aggregate import ORDER

SLICE = 2_000

Item = TypeVar("Item")


class EarlierLine(NamedTuple):
    """A line of goods. number: in its order. left: units that no return has brought back."""

    number: int
    sku: str
    price: int
    quantity: int
    left: int


class EarlierReturn(NamedTuple):
    reference: str
    at: datetime
    units: Counter[int]


class EarlierOrder(NamedTuple):
    order_id: str
    invoice: str
    customer: str
    at: datetime
    lines: list[EarlierLine]
    returns: list[EarlierReturn]


def load(
    customers: Collection[str], *, without: Collection[str] = (), unreturned: Collection[str] = ()
) -> list[EarlierOrder]:
    """The imported orders of these customers, the oldest first.

    without: invoices to leave out. unreturned: credit notes whose returns do not count.
    """
    found = [
        each
        for some in slices(sorted(customers))
        for each in _of(OrderDetails.objects.filter(customer_id__in=some), set(unreturned))
        if each.invoice not in without
    ]
    placed: dict[str, int] = {}
    for orders in slices(found):
        streams = [stream_name(ORDER.category, each.order_id) for each in orders]
        events = Event.objects.filter(stream__in=streams, version=1)
        placed |= dict(events.values_list("stream", "position"))
    return sorted(
        found, key=lambda each: (each.at, placed[stream_name(ORDER.category, each.order_id)])
    )


def slices(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """For queries with a list of keys."""
    return (items[start : start + SLICE] for start in range(0, len(items), SLICE))


def _of(orders: Any, unreturned: Collection[str]) -> Iterator[EarlierOrder]:
    orders = orders.exclude(reference="").exclude(status="CANCELLED")
    columns = ("order_id", "reference", "customer_id", "placed_at", "lines")
    rows = list(orders.values_list(*columns))
    returns = defaultdict[str, list[EarlierReturn]](list)
    mine = ReturnView.objects.filter(order_id__in=[row[0] for row in rows])
    for order_id, reference, at, lines in mine.exclude(status="CLOSED").values_list(
        "order_id", "reference", "requested_at", "lines"
    ):
        if at is not None and reference not in unreturned:
            units: Counter[int] = Counter()
            for line in lines:
                units[line["number"]] += line["quantity"]
            returns[order_id].append(EarlierReturn(reference, at, units))
    for order_id, invoice, customer, at, lines in rows:
        back: Counter[int] = sum((each.units for each in returns[order_id]), Counter())
        goods = [
            EarlierLine(
                number,
                line["sku"],
                line["unit_price"],
                line["quantity"],
                line["quantity"] - back[number],
            )
            for number, line in enumerate(lines, start=1)
        ]
        yield EarlierOrder(order_id, invoice, customer, at, goods, returns[order_id])
