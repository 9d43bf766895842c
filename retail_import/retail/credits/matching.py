"""Match a credit for goods to sales of the same customer, SKU and unit price; the last sale first
(LIFO)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from retail_import.retail import london
from retail_import.retail.classes import LineClass
from retail_import.retail.documents import CreditNote, Document, Order
from retail_import.retail.line import Line


class Allocation(Struct, frozen=True, gc=False):
    """Units of one sale line that one credit line takes back. number: of the sale line among its
    order's goods, from 1."""

    credit: Line
    sale: Line
    number: int
    units: int

    @property
    def sku(self) -> str:
        return self.sale.sku

    @property
    def value(self) -> int:
        return self.units * self.sale.price

    @property
    def same_day(self) -> bool:
        return london.day(self.sale.at) == london.day(self.credit.at)


class Match(Struct, frozen=True, gc=False):
    """One credit line: its sales, latest first. unmatched: units without a sale, an exception to
    report."""

    credit: Line
    allocations: tuple[Allocation, ...]
    unmatched: int

    @property
    def extent(self) -> Literal["full", "partial", "none"]:
        if not self.allocations:
            return "none"
        return "partial" if self.unmatched else "full"

    @property
    def unmatched_value(self) -> int:
        return self.unmatched * self.credit.price


class SaleLine(Struct):
    """A sale line. units: not credited yet."""

    line: Line
    number: int
    units: int


class Sales:
    """The sales of known customers so far. Add documents in file order, which is time order."""

    def __init__(self) -> None:
        self._sold: defaultdict[Key, list[SaleLine]] = defaultdict(list)

    def remember(self, order: Order) -> None:
        """Sales of guests are left out: no credit can be matched to them."""
        if order.customer is None:
            return
        for number, line in enumerate(order.goods, start=1):
            if line.price:
                self._sold[_key(line)].append(SaleLine(line, number, line.quantity))

    def match(self, note: CreditNote) -> tuple[Match, ...]:
        """Match a credit note and take the units from its sales. The note of a guest has no
        matches."""
        if note.customer is None:
            return ()
        found = []
        for credit in note.of_class(LineClass.CREDIT_GOODS):
            unmatched, allocations = -credit.quantity, list[Allocation]()
            sold = self._sold.get(_key(credit), [])
            while unmatched and sold:
                last = sold[-1]
                units = min(unmatched, last.units)
                allocations.append(Allocation(credit, last.line, last.number, units))
                unmatched -= units
                last.units -= units
                if not last.units:
                    sold.pop()
            found.append(Match(credit, tuple(allocations), unmatched))
        return tuple(found)


def matches(documents: Iterable[Document]) -> Iterator[Match]:
    sales = Sales()
    for document in documents:
        match document:
            case Order():
                sales.remember(document)
            case CreditNote():
                yield from sales.match(document)


Key = tuple[str | None, str, int]


def _key(line: Line) -> Key:
    return line.customer, line.sku, line.price
