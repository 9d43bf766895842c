"""Survey a file in one pass that also checks every line, before anything is imported."""

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from pathlib import Path

from eventstore import codec
from eventstore.codec import Unstorable

from ..retail import documents
from ..retail.documents import CreditNote, Document, LedgerAdjustment, Order
from ..retail.line import Line
from ..retail.london import DateForm
from ..retail.malformed import MalformedLine
from ..retail.opening_stock import OpeningStock
from ..retail.stock import StockCount
from . import translation
from .crediting import Crediting

# What PostgreSQL's bigint holds; the sums of a document are stored in it.
LARGEST = (1 << 63) - 1
# Only a document of this many lines can be too large to store.
LONG = 1_000


class Survey:
    """What a file holds, and what of it is new.

    faults: of lines, and of documents that cannot be imported; each names its invoice, if that can
    be read. known: the keys of documents that are in already. orders: invoice number by order id.
    products: the line that first sold each new product. stock: the opening stock that the movements
    of all documents need, new: that of the new ones.
    """

    def __init__(
        self, recorded: Mapping[str, str], taken: Callable[[Collection[str]], set[str]]
    ) -> None:
        self._recorded, self._taken = recorded, taken
        self.faults: list[MalformedLine] = []
        self.known: set[str] = set()
        self.lines = self.documents = self.new_documents = self.new_lines = 0
        self.kinds: Counter[str] = Counter()
        self.orders: dict[str, str] = {}
        self.new_orders: dict[str, MalformedLine] = {}
        self.notes: set[str] = set()
        self.credited_customers: set[str] = set()
        self.products: dict[str, Line] = {}
        self._stock, self._new = StockCount(), StockCount()

    def read(self, path: Path, form: DateForm, without: Container[str]) -> None:
        for document in documents.read(path, form, self.faults.append, without):
            self.lines += len(document.lines)
            self.documents += 1
            self._stock.add(document)
            self._add(document)
        for order_id in self._taken(self.new_orders):
            self.faults.append(self.new_orders[order_id])

    def _add(self, document: Document) -> None:
        if isinstance(document, Order):
            self.orders[translation.order_id(document.invoice)] = document.invoice
        elif isinstance(document, CreditNote):
            self.notes.add(document.invoice)
        if fault := self._fault(document):
            self.faults.append(_of(document, fault))
            return
        if document.key in self._recorded:
            self.known.add(document.key)
            return
        self.new_documents += 1
        self.new_lines += len(document.lines)
        self.kinds[type(document).__name__] += 1
        self._new.add(document)
        match document:
            case Order():
                fault = f"order {document.invoice} is in already, but from no import"
                order_id = translation.order_id(document.invoice)
                self.new_orders[order_id] = _of(document, fault)
                for line in document.goods:
                    if line.price:
                        self.products.setdefault(line.sku, line)
            case CreditNote() if document.customer:
                self.credited_customers.add(document.customer)

    def _fault(self, document: Document) -> str:
        digest = self._recorded.get(document.key)
        if digest not in (None, document.digest):
            return f"invoice {document.invoice} is in already, with other lines"
        values = [document.value, *(line.value for line in document.lines)]
        if max(map(abs, values)) > LARGEST:
            return f"the total of invoice {document.invoice} is too large: {document.value}"
        if len(document.lines) > LONG and isinstance(document, Order):
            try:
                codec.encode(translation.import_order(document))
            except Unstorable as error:
                return f"invoice {document.invoice} is too large: {error}"
        return ""

    @property
    def stock(self) -> dict[str, OpeningStock]:
        return {each.sku: each for each in self._stock.opening()}

    @property
    def new_stock(self) -> dict[str, OpeningStock]:
        return {each.sku: each for each in self._new.opening()}


class Shortages:
    """What stock would not suffice for, if the documents were imported in file order.

    cancelled: invoices of orders. refused: stock adjustments.
    """

    def __init__(self, available: Mapping[str, int]) -> None:
        self._available = Counter(available)
        self.cancelled: list[str] = []
        self.refused: list[str] = []

    def add(self, document: Document, crediting: Crediting) -> None:
        credited = crediting.of(document)
        match document:
            case LedgerAdjustment():
                pass
            case Order():
                self._reserve(document)
            case CreditNote():
                for restock in credited.restocks:
                    for line in restock.lines:
                        self._available[line.sku] += line.quantity
            case _:
                for adjustment in translation.adjust_stock(document):
                    if self._available[adjustment.sku] + adjustment.quantity < 0:
                        self.refused.append(
                            f"{adjustment.quantity:+} of {adjustment.sku}, {adjustment.reason}"
                        )
                    else:
                        self._available[adjustment.sku] += adjustment.quantity

    def _reserve(self, order: Order) -> None:
        """All goods or none, as in the warehouse."""
        wanted: Counter[str] = Counter()
        for line in order.goods:
            wanted[line.sku] += line.quantity
        if short := [sku for sku, units in wanted.items() if units > self._available[sku]]:
            self.cancelled.append(f"{order.invoice} (out of stock: {', '.join(sorted(short))})")
        else:
            self._available.subtract(wanted)


def shortages(
    new: Iterable[Document], available: Mapping[str, int], crediting: Crediting
) -> Shortages:
    found = Shortages(available)
    for document in new:
        found.add(document, crediting)
    return found


def _of(document: Document, reason: str) -> MalformedLine:
    first = document.lines[0]
    fields = (first.invoice, first.code, first.description, str(first.quantity))
    return MalformedLine(first.number, reason, document.invoice, fields)
