"""Turn each credit note into returns of the matched orders, and a credit for the rest.

Goods of a known customer are matched to their sales. Goods without a sale, goods of a guest, and
refunded charges become a credit without an order. All goods are restocked, matched or not.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from inventory.commands import Restock
from orders.commands import ImportReturn, IssueCredit

from ..earlier_orders import EarlierOrder
from ..retail import london
from ..retail.classes import LineClass
from ..retail.credits.matching import Allocation, Sale, Sales
from ..retail.documents import CreditNote, Document, Order
from . import translation
from .translation import Remainder


class CreditResult(NamedTuple):
    """unmatched: credit lines that found no sale, wholly or in part."""

    returns: tuple[ImportReturn, ...] = ()
    credit: IssueCredit | None = None
    restocks: tuple[Restock, ...] = ()
    unmatched: int = 0


class Crediting:
    """Call `of` with the documents in file order. An order whose priced goods all come back on the
    day of sale counts as cancelled.

    earlier: orders of earlier imports.
    """

    def __init__(self, earlier: Iterable[EarlierOrder] = ()) -> None:
        self._sales = Sales()
        self._sold: Counter[str] = Counter()
        self._back_on_the_day: Counter[str] = Counter()
        for order in earlier:
            self._remember(order)

    def _remember(self, order: EarlierOrder) -> None:
        priced = {line.number for line in order.lines if line.price}
        for line in order.lines:
            if line.price and line.left:
                self._sales.add(
                    Sale(
                        order.invoice,
                        order.customer,
                        line.sku,
                        line.price,
                        order.at,
                        0,
                        line.number,
                        line.left,
                    )
                )
        self._sold[order.invoice] = sum(line.quantity for line in order.lines if line.price)
        self._back_on_the_day[order.invoice] = sum(
            units
            for back in order.returns
            if london.day(back.at) == london.day(order.at)
            for number, units in back.units.items()
            if number in priced
        )

    def of(self, document: Document) -> CreditResult:
        if isinstance(document, Order):
            self._sales.remember(document)
            self._sold[document.invoice] = sum(
                line.quantity for line in document.of_class(LineClass.SALE_GOODS)
            )
        if not isinstance(document, CreditNote):
            return CreditResult()
        matches = self._sales.match(document)
        taken_of: defaultdict[str, list[Allocation]] = defaultdict(list)
        for allocation in (each for match in matches for each in match.allocations):
            taken_of[allocation.sale.invoice].append(allocation)
        returns, restocks = list[ImportReturn](), list[Restock]()
        for invoice, taken in taken_of.items():
            before = self._back_on_the_day[invoice]
            self._back_on_the_day[invoice] += sum(each.units for each in taken if each.same_day)
            cancels = before < self._back_on_the_day[invoice] == self._sold[invoice]
            returned = translation.import_return(document, invoice, taken, cancels=cancels)
            returns.append(returned)
            restocks.append(translation.restock(returned.return_id, taken, returned.order_id))
        if document.customer is None:
            rest = [Remainder(line, -line.quantity) for line in document.goods]
        else:
            rest = [Remainder(each.credit, each.unmatched) for each in matches if each.unmatched]
        credit = translation.issue_credit(document, rest) if rest or document.charges else None
        if credit and rest:
            restocks.append(translation.restock(credit.booking_id, rest))
        unmatched = sum(each.unmatched > 0 for each in matches)
        return CreditResult(tuple(returns), credit, tuple(restocks), unmatched)
