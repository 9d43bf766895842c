"""Turn each credit note into returns of the matched orders, and a credit for the rest.

Goods of a known customer are matched to their sales. Goods without a sale, goods of a guest, and
refunded charges become a credit without an order. All goods are restocked, matched or not.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

from inventory.commands import Restock
from orders.commands import ImportReturn, IssueCredit
from retail_import.retail.credits.matching import Allocation, Sales

from ..retail.classes import LineClass
from ..retail.documents import CreditNote, Document, Order
from . import translation
from .translation import Remainder


class CreditResult(NamedTuple):
    returns: tuple[ImportReturn, ...] = ()
    credit: IssueCredit | None = None
    restocks: tuple[Restock, ...] = ()


class Crediting:
    """Call `of` with the documents in file order. An order whose priced goods all come back on the
    day of sale counts as cancelled."""

    def __init__(self) -> None:
        self._sales = Sales()
        self._sold: Counter[str] = Counter()
        self._back_on_the_day: Counter[str] = Counter()

    def of(self, document: Document) -> CreditResult:
        match document:
            case Order():
                self._sales.remember(document)
                self._sold[document.invoice] = sum(
                    line.quantity for line in document.of_class(LineClass.SALE_GOODS)
                )
            case CreditNote():
                return self._credit(document)
        return CreditResult()

    def _credit(self, note: CreditNote) -> CreditResult:
        matches = self._sales.match(note)
        taken_of: defaultdict[str, list[Allocation]] = defaultdict(list)
        for allocation in (each for match in matches for each in match.allocations):
            taken_of[allocation.sale.invoice].append(allocation)
        returns, restocks = list[ImportReturn](), list[Restock]()
        for invoice, taken in taken_of.items():
            before = self._back_on_the_day[invoice]
            self._back_on_the_day[invoice] += sum(each.units for each in taken if each.same_day)
            cancels = before < self._back_on_the_day[invoice] == self._sold[invoice]
            returned = translation.import_return(note, invoice, taken, cancels=cancels)
            returns.append(returned)
            restocks.append(translation.restock(returned.return_id, taken, returned.order_id))
        if note.customer is None:
            rest = [Remainder(line, -line.quantity) for line in note.goods]
        else:
            rest = [Remainder(each.credit, each.unmatched) for each in matches if each.unmatched]
        credit = translation.issue_credit(note, rest) if rest or note.charges else None
        if credit and rest:
            restocks.append(translation.restock(credit.booking_id, rest))
        return CreditResult(tuple(returns), credit, tuple(restocks))
