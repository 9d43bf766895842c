"""Match a credit for goods to sales of the same customer, SKU and unit price; the last sale first
(LIFO)."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from retail_import.retail import london
from retail_import.retail.classes import LineClass
from retail_import.retail.documents import CreditNote, Document, Order
from retail_import.retail.line import Line


class Sale(Struct):
    """A sale line. number: among its order's goods, from 1. line: its number in the file, 0 for one
    of an earlier file. units: not credited yet."""

    invoice: str
    customer: str
    sku: str
    price: int
    at: datetime
    line: int
    number: int
    units: int

    @property
    def place(self) -> tuple[datetime, int]:
        return self.at, self.line


class Allocation(Struct, frozen=True, gc=False):
    """Units of one sale line that one credit line takes back."""

    credit: Line
    sale: Sale
    units: int

    @property
    def number(self) -> int:
        return self.sale.number

    @property
    def sku(self) -> str:
        return self.sale.sku

    @property
    def same_day(self) -> bool:
        return london.day(self.sale.at) == london.day(self.credit.at)


class Match(Struct, frozen=True, gc=False):
    """One credit line: its sales, latest first. unmatched: units without a sale, an exception to
    report."""

    credit: Line
    allocations: tuple[Allocation, ...]
    unmatched: int


class Sales:
    """The sales of known customers so far."""

    def __init__(self) -> None:
        self._sold: defaultdict[Key, list[Sale]] = defaultdict(list)

    def remember(self, order: Order) -> None:
        """Sales of guests are left out: no credit can be matched to them."""
        if order.customer is None:
            return
        for number, line in enumerate(order.goods, start=1):
            if line.price:
                self.add(
                    Sale(
                        line.invoice,
                        order.customer,
                        line.sku,
                        line.price,
                        line.at,
                        line.number,
                        number,
                        line.quantity,
                    )
                )

    def add(self, sale: Sale) -> None:
        # An invoice that another one interrupts has later lines than the other.
        insort(self._sold[sale.customer, sale.sku, sale.price], sale, key=lambda each: each.place)

    def match(self, note: CreditNote) -> tuple[Match, ...]:
        """Match a credit note and take the units from sales that stand before its lines. The note
        of a guest has no matches."""
        if note.customer is None:
            return ()
        return tuple(map(self._match, note.of_class(LineClass.CREDIT_GOODS)))

    def _match(self, credit: Line) -> Match:
        unmatched, allocations = -credit.quantity, list[Allocation]()
        sold = self._sold.get((credit.customer or "", credit.sku, credit.price), [])
        for index in reversed(range(len(sold))):
            sale = sold[index]
            if not unmatched:
                break
            if sale.place > (credit.at, credit.number):
                continue
            units = min(unmatched, sale.units)
            allocations.append(Allocation(credit, sale, units))
            unmatched -= units
            sale.units -= units
            if not sale.units:
                del sold[index]
        return Match(credit, tuple(allocations), unmatched)


def matches(documents: Iterable[Document]) -> Iterator[Match]:
    sales = Sales()
    for document in documents:
        match document:
            case Order():
                sales.remember(document)
            case CreditNote():
                yield from sales.match(document)


Key = tuple[str, str, int]
