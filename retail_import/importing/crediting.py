"""Turn each credit note into returns of the matched orders, and a credit for the rest.

Goods of a known customer are matched to their sales. Goods without a sale, goods of a guest, and
refunded charges become a credit without an order. All goods are restocked, matched or not.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

from inventory.commands import Restock
from orders.commands import ImportReturn, IssueCredit
from retail_import.retail.credits.matching import Allocation, Match, Sales

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
                return self._credit(document, self._sales.match(document))
        return CreditResult()

    def _credit(self, note: CreditNote, matches: tuple[Match, ...]) -> CreditResult:
        returns = tuple(
            translation.import_return(note, invoice, taken, cancels=self._cancels(invoice, taken))
            for invoice, taken in _by_order(matches).items()
        )
        if note.customer is None:
            rest = [Remainder(line, -line.quantity) for line in note.goods]
        else:
            rest = [
                Remainder(match.credit, match.unmatched) for match in matches if match.unmatched
            ]
        credit = translation.issue_credit(note, rest) if rest or note.charges else None
        restocks = [
            translation.restock(each.return_id, taken, each.order_id)
            for each, taken in zip(returns, _by_order(matches).values(), strict=True)
        ]
        if credit and rest:
            restocks.append(translation.restock(credit.booking_id, rest))
        return CreditResult(returns, credit, tuple(restocks))

    def _cancels(self, invoice: str, taken: list[Allocation]) -> bool:
        before = self._back_on_the_day[invoice]
        self._back_on_the_day[invoice] += sum(each.units for each in taken if each.same_day)
        return before < self._back_on_the_day[invoice] == self._sold[invoice]


def _by_order(matches: tuple[Match, ...]) -> dict[str, list[Allocation]]:
    taken: defaultdict[str, list[Allocation]] = defaultdict(list)
    for allocation in (each for match in matches for each in match.allocations):
        taken[allocation.sale.invoice].append(allocation)
    return taken
