"""Survey a file in one pass that also checks every line, before anything is imported."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from inventory.commands import AdjustStock
from retail_import.retail.credits.totals import CreditMatching

from ..retail import csv_records, documents, london, opening_stock, tallies, totals
from ..retail.document_totals import Commands, CreditNotes, Orders
from ..retail.documents import CreditNote, Document, LedgerAdjustment, Order
from ..retail.line import Line
from ..retail.opening_stock import OpeningStock
from ..retail.stock import StockCount
from . import translation
from .crediting import Crediting


class WrongOpeningStock(ValueError):
    """The opening stock contradicts the file of invoices, or is too small for it."""


class Survey(NamedTuple):
    """totals: in the form of the expected totals. by_month: orders and their value, by month in
    London. invoices: invoice number by order id.

    products: the line that first sold each product. stock: the opening stock that each product's
    movements need. adjustments: how often each occurs.

    notes, ledger: the invoice numbers of credit notes and of ledger adjustments. returns: the ids
    of all returns.
    """

    import_id: str
    lines: int
    documents: int
    totals: Mapping[str, Any]
    by_month: Mapping[str, tuple[int, int]]
    invoices: Mapping[str, str]
    products: Mapping[str, Line]
    stock: Mapping[str, OpeningStock]
    adjustments: Counter[AdjustStock]
    notes: list[str]
    ledger: list[str]
    returns: set[str]


def of_file(path: Path) -> Survey:
    sections: dict[str, totals.Section] = {
        "grand": tallies.Grand(),
        "by_line_class": tallies.by_class(),
        "orders": Orders(),
        "credit_notes": CreditNotes(),
        "credit_matching_LIFO_customer_sku_price": CreditMatching(),
        "stock": (stock := StockCount()),
        "commands": Commands(),
    }
    findings = Findings()
    for document in documents.read(path):
        findings.add(document)
        for section in sections.values():
            section.add(document)
    return Survey(
        import_id=csv_records.fingerprint(path),
        lines=findings.lines,
        documents=findings.documents,
        totals={name: section.totals() for name, section in sections.items()},
        by_month=findings.by_month,
        invoices=findings.invoices,
        products=findings.products,
        stock={each.sku: each for each in stock.opening()},
        adjustments=findings.adjustments,
        notes=findings.notes,
        ledger=findings.ledger,
        returns=findings.returns,
    )


class Findings:
    def __init__(self) -> None:
        self.lines = self.documents = 0
        self.by_month: dict[str, tuple[int, int]] = {}
        self.invoices: dict[str, str] = {}
        self.products: dict[str, Line] = {}
        self.adjustments: Counter[AdjustStock] = Counter()
        self.notes: list[str] = []
        self.ledger: list[str] = []
        self.returns: set[str] = set()
        self._crediting = Crediting()

    def add(self, document: Document) -> None:
        self.lines += len(document.lines)
        self.documents += 1
        self.adjustments.update(translation.adjust_stock(document))
        self.returns.update(each.return_id for each in self._crediting.of(document).returns)
        match document:
            case Order():
                self.invoices[translation.order_id(document.invoice)] = document.invoice
                month = london.month(document.at)
                orders, value = self.by_month.get(month, (0, 0))
                self.by_month[month] = orders + 1, value + document.value
                for line in document.goods:
                    if line.price:
                        self.products.setdefault(line.sku, line)
            case CreditNote():
                self.notes.append(document.invoice)
            case LedgerAdjustment():
                self.ledger.append(document.invoice)


def opening_of(path: Path, survey: Survey) -> list[OpeningStock]:
    """Read an opening stock and compare it with the invoices. Raises WrongOpeningStock."""
    opening = list(opening_stock.read(path))
    stated, moved = {each.sku for each in opening}, set(survey.stock)
    if missing := moved - stated:
        raise WrongOpeningStock(f"{min(missing)} is in the file, but not in the opening stock.")
    if extra := stated - moved:
        raise WrongOpeningStock(f"{min(extra)} is in the opening stock, but not in the file.")
    for each in opening:
        needed = survey.stock[each.sku]
        if each.net != needed.net:
            raise WrongOpeningStock(
                f"{each.sku}: net {each.net} in the opening stock, but {needed.net} in the file."
            )
        if each.units < needed.units:
            raise WrongOpeningStock(
                f"{each.sku}: opening stock {each.units}, but the file needs {needed.units}."
            )
    return opening
