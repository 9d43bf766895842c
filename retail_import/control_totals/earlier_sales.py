"""Sales of other files, for the matching of a file's credits."""

from collections.abc import Collection, Iterator
from zoneinfo import ZoneInfo

from .. import earlier_orders
from .file_totals import Sale

LONDON = ZoneInfo("Europe/London")


def of(
    customers: Collection[str], *, orders: Collection[str], notes: Collection[str]
) -> Iterator[tuple[Sale, int]]:
    """orders, notes: of the file itself, which count as if they were not imported."""
    for order in earlier_orders.load(customers, without=orders, unreturned=notes):
        sold = sum(line.quantity for line in order.lines if line.price)
        at = order.at.astimezone(LONDON).replace(tzinfo=None)
        for line in order.lines:
            if line.price and line.left:
                yield (
                    Sale(order.invoice, line.sku, line.price, order.customer, at, line.left),
                    sold,
                )
