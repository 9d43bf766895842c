"""The totals of a file, in the form of its expected totals, and their comparison."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from retail_import.retail.credits.totals import CreditMatching

from . import documents, tallies
from .classes import LineClass
from .csv_records import fingerprint
from .document_totals import Commands, CreditNotes, Orders
from .documents import Document
from .stock import StockCount

Totals = dict[str, Any]


class Section(Protocol):
    def add(self, document: Document) -> None: ...

    def totals(self) -> Mapping[str, Any]: ...


def of_file(path: Path) -> Totals:
    totals = of_documents(documents.read(path))  # first: it names the line of a damaged file
    return {"source_sha256": fingerprint(path), **totals}


def of_documents(documents: Iterable[Document]) -> Totals:
    """In one pass. Money is in thousandths of a pound."""
    sections: dict[str, Section] = {
        "grand": tallies.Grand(),
        "by_line_class": tallies.by_class(),
        "orders": Orders(),
        "credit_notes": CreditNotes(),
        "credit_matching_LIFO_customer_sku_price": CreditMatching(),
        "stock": StockCount(),
        "by_month": tallies.by_month(),
        "by_country": tallies.by_country(),
        "commands": Commands(),
    }
    for document in documents:
        for section in sections.values():
            section.add(document)
    found = {name: section.totals() for name, section in sections.items()}
    # Orders, credits and ledger make up all money; a wrong sum makes another text.
    money = sum(found["by_line_class"][kind]["value_milli_gbp"] for kind in _MONEY)
    return {
        "currency": "GBP",
        "money_unit": "milli-GBP (1/1000)",
        **found,
        "by_month": [{"month": month, **tally} for month, tally in found["by_month"].items()],
        "identity": f"{'+'.join(_MONEY)} == grand.value_milli_gbp ({money})",
    }


class Difference(NamedTuple):
    """expected, actual: None if the path is missing."""

    path: str
    expected: object
    actual: object


def compare(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[Difference]:
    ours, theirs = dict(_leaves(actual)), dict(_leaves(expected))
    return [
        Difference(path, theirs.get(path), ours.get(path))
        for path in theirs | ours
        if theirs.get(path) != ours.get(path)
    ]


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, object]]:
    match node:
        case dict():
            for name, child in node.items():
                yield from _leaves(child, f"{path}.{name}" if path else name)
        case list():
            for index, child in enumerate(node):
                yield from _leaves(child, f"{path}[{index}]")
        case _:
            yield path, node


_MONEY = (
    LineClass.SALE_GOODS,
    LineClass.SALE_CHARGE,
    LineClass.FREE_LINE,
    LineClass.CREDIT_GOODS,
    LineClass.CREDIT_CHARGE,
    LineClass.LEDGER_ADJUSTMENT,
)
