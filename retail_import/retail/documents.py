"""The documents of a file, in file order: orders, credit notes, stock and ledger adjustments."""

from collections.abc import Container, Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from msgspec import Struct
from msgspec.structs import astuple

from . import reader
from .classes import LineClass, classify, is_goods
from .line import Line
from .london import DateForm
from .malformed import MalformedLine, Report, refuse


class Document(Struct, frozen=True, gc=False):
    """The lines of an invoice that have one role. kinds: the class of each line. Identified by
    invoice and type."""

    lines: tuple[Line, ...]
    kinds: tuple[LineClass, ...]

    @property
    def invoice(self) -> str:
        return self.lines[0].invoice

    @property
    def at(self) -> datetime:
        """The time of the first line; a few invoices span two minutes."""
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
        """Lines that move stock, priced or free."""
        return tuple(line for line in self.lines if is_goods(line.code))

    @property
    def charges(self) -> tuple[Line, ...]:
        """Lines that move no stock."""
        return tuple(line for line in self.lines if not is_goods(line.code))

    @property
    def key(self) -> str:
        """An invoice has at most one document of each role."""
        return f"{self.invoice}/{type(self).__name__}"

    @property
    def digest(self) -> str:
        """Of what is imported. Two documents with the same key and digest are the same one."""
        lines = ((line.code, line.quantity, line.price) for line in self.lines)
        content = (self.at.isoformat(), self.customer, self.country, *lines)
        return sha256(repr(content).encode()).hexdigest()[:12]

    def of_class(self, kind: LineClass) -> tuple[Line, ...]:
        return tuple(
            line for line, each in zip(self.lines, self.kinds, strict=True) if each is kind
        )


class Order(Document, frozen=True, gc=False):
    """A sale: goods, free lines and charges."""


class CreditNote(Document, frozen=True, gc=False):
    """Goods taken back and charges refunded; quantities are negative."""


class StockAdjustment(Document, frozen=True, gc=False):
    """Units found (above 0) or lost (below 0), without a price."""


class LedgerAdjustment(Document, frozen=True, gc=False):
    """A bad debt written off; it belongs to no order."""


def read(
    path: Path,
    form: DateForm = DateForm.MONTH_FIRST,
    report: Report = refuse,
    without: Container[str] = (),
) -> Iterator[Document]:
    """report: is called for each malformed line, which is left out. without: invoices to leave
    out."""
    lines = reader.read(path, form, report)
    if without:
        lines = (line for line in lines if line.invoice not in without)
    return documents(lines, report)


def documents(lines: Iterable[Line], report: Report = refuse) -> Iterator[Document]:
    """In the order of their first lines. Only invoices of the last minutes are held in memory."""
    open_: dict[str, list[Line]] = {}
    ended: set[str] = set()
    current = ""
    for line in lines:
        if line.invoice != current:
            current = line.invoice
            # Invoices that have ended, up to the oldest open one, to keep the order of first lines.
            while open_:
                oldest = next(iter(open_))
                if open_[oldest][-1].at + INTERRUPTION >= line.at:
                    break
                ended.add(oldest)
                yield from _documents_of(open_.pop(oldest))
        if line.invoice in ended:
            report(_malformed(line, f"invoice {line.invoice} continues, but ended minutes before"))
        else:
            _put(line, open_, report)
    for invoice in open_.values():
        yield from _documents_of(invoice)


def _put(line: Line, open_: dict[str, list[Line]], report: Report) -> None:
    invoice = open_.setdefault(line.invoice, [line])
    first = invoice[0]
    if line is first:
        return
    for name in ("customer", "country"):
        if getattr(line, name) != getattr(first, name):
            report(
                _malformed(
                    line,
                    f"invoice {line.invoice} has another {name} here than on line {first.number}",
                )
            )
            return
    invoice.append(line)


def _malformed(line: Line, reason: str) -> MalformedLine:
    return MalformedLine(line.number, reason, line.invoice, tuple(map(str, astuple(line)[1:])))


def _documents_of(invoice: list[Line]) -> Iterator[Document]:
    """One document for each role. All known invoices have one role; lines of stock adjustments on a
    sale's invoice would become a second document."""
    free = all(line.price == 0 for line in invoice)
    classed = [(line, classify(line, invoice_is_free=free)) for line in invoice]
    for role in dict.fromkeys(_ROLES[kind] for _, kind in classed):
        lines, kinds = zip(*(each for each in classed if _ROLES[each[1]] is role), strict=True)
        yield role(lines, kinds)


# One real invoice (542806) is interrupted by a credit note in its first minute and continues in its
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
