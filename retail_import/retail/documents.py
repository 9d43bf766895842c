"""What happened in the shop, in file order: orders, credit notes, stock and ledger adjustments."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from . import reader
from .classes import LineClass, classify, is_goods
from .line import Line
from .malformed import MalformedLine


class Document(Struct, frozen=True, gc=False):
    """An invoice's lines of one role; `kinds` holds the class of each. Known by invoice and
    type."""

    lines: tuple[Line, ...]
    kinds: tuple[LineClass, ...]

    @property
    def invoice(self) -> str:
        return self.lines[0].invoice

    @property
    def at(self) -> datetime:
        """A few invoices span two minutes; the first counts."""
        return self.lines[0].at

    @property
    def customer(self) -> str | None:
        return self.lines[0].customer

    @property
    def country(self) -> str:
        return self.lines[0].country

    @property
    def value(self) -> int:
        return sum(line.value for line in self.lines)

    @property
    def goods(self) -> tuple[Line, ...]:
        """Priced or free: what moves stock."""
        return tuple(line for line in self.lines if is_goods(line.code))

    @property
    def charges(self) -> tuple[Line, ...]:
        """What moves money only, or, at price 0, nothing."""
        return tuple(line for line in self.lines if not is_goods(line.code))

    def of_class(self, kind: LineClass) -> tuple[Line, ...]:
        return tuple(
            line for line, each in zip(self.lines, self.kinds, strict=True) if each is kind
        )


class Order(Document, frozen=True, gc=False):
    """A sale: goods, free lines and charges."""


class CreditNote(Document, frozen=True, gc=False):
    """Goods taken back and charges refunded; quantities are negative."""


class StockAdjustment(Document, frozen=True, gc=False):
    """Units found or lost, at no price: in above 0, out below."""


class LedgerAdjustment(Document, frozen=True, gc=False):
    """A bad debt written off; no order's business."""


class Extent(Struct, frozen=True):
    lines: int
    documents: int


def check(path: Path) -> Extent:
    """Read to the end and keep nothing, so that no import begins with a file that it cannot
    finish."""
    sizes = [len(document.lines) for document in read(path)]
    return Extent(sum(sizes), len(sizes))


def read(path: Path) -> Iterator[Document]:
    return documents(reader.read(path))


def documents(lines: Iterable[Line]) -> Iterator[Document]:
    """In the order of their first lines, with no more in memory than what was begun in the last
    minutes."""
    begun: dict[str, list[Line]] = {}
    current = ""
    for line in lines:
        if line.invoice != current:
            current = line.invoice
            yield from _ended(begun, line.at)
        _put(line, begun)
    for invoice in begun.values():
        yield from _documents_of(invoice)


def _ended(begun: dict[str, list[Line]], now: datetime) -> Iterator[Document]:
    """The oldest first, and none before it has ended: the order of first lines is kept."""
    while begun:
        oldest = next(iter(begun))
        if begun[oldest][-1].at + INTERRUPTION >= now:
            return
        yield from _documents_of(begun.pop(oldest))


def _put(line: Line, begun: dict[str, list[Line]]) -> None:
    if line.position == 1:
        begun[line.invoice] = [line]
        return
    if line.invoice not in begun:
        raise MalformedLine(
            line.number, f"invoice {line.invoice} goes on, but had ended minutes before"
        )
    begun[line.invoice].append(line)
    _refuse_two_parties(begun[line.invoice][0], line)


def _refuse_two_parties(first: Line, line: Line) -> None:
    if line.customer != first.customer:
        reason = f"invoice {line.invoice} has another customer here than on line {first.number}"
        raise MalformedLine(line.number, reason)
    if line.country != first.country:
        reason = f"invoice {line.invoice} has another country here than on line {first.number}"
        raise MalformedLine(line.number, reason)


def _documents_of(invoice: list[Line]) -> Iterator[Document]:
    """One, as far as is known; stock that leaves on a sale's invoice would be a document beside the
    order."""
    free = all(line.price == 0 for line in invoice)
    classed = [(line, classify(line, invoice_is_free=free)) for line in invoice]
    for role in dict.fromkeys(_ROLES[kind] for _, kind in classed):
        lines, kinds = zip(*(each for each in classed if _ROLES[each[1]] is role), strict=True)
        yield role(lines, kinds)


# One real invoice (542806) is interrupted: by a credit note in its first minute; it goes on in its
# second.
INTERRUPTION = timedelta(minutes=5)

_ROLES: dict[LineClass, type[Document]] = {
    LineClass.LEDGER_ADJUSTMENT: LedgerAdjustment,
    LineClass.CREDIT_GOODS: CreditNote,
    LineClass.CREDIT_CHARGE: CreditNote,
    LineClass.STOCK_OUT: StockAdjustment,
    LineClass.STOCK_IN: StockAdjustment,
    LineClass.FREE_LINE: Order,
    LineClass.SALE_GOODS: Order,
    LineClass.SALE_CHARGE: Order,
}
