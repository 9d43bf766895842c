"""Translate the documents of a file into commands."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID, uuid5

from eventstore.money import Money
from inventory.commands import AdjustStock, ReceiveStock, Restock, StockLine
from orders.commands import AdjustLedger, ImportOrder, ImportProduct, ImportReturn, IssueCredit
from orders.events import Charge, OrderLine, Portion
from payments.commands import ELSEWHERE
from retail_import.retail.credits.matching import Allocation
from shipping.commands import Address

from ..retail.documents import CreditNote, Document, LedgerAdjustment, Order, StockAdjustment
from ..retail.line import Line
from ..retail.stock import movements

# The namespace of ids: an invoice is the same order in every file.
INVOICES = UUID("3b0d1a5e-6f57-4c58-9d0a-0f4c2b7f9e11")

CURRENCY, EXPONENT = "GBP", 3
CANCELLED = "cancelled on the day of sale"
CREDITED = "credit note"


class Remainder(NamedTuple):
    """Units of a credit note's line without an order."""

    line: Line
    units: int

    @property
    def sku(self) -> str:
        return self.line.sku


def order_id(invoice: str) -> str:
    return str(uuid5(INVOICES, invoice))


def return_id(note: str, order: str) -> str:
    """The id of the return of one order's goods by one credit note."""
    return str(uuid5(INVOICES, f"{note} of {order}"))


def booking_id(invoice: str) -> str:
    return str(uuid5(INVOICES, invoice))


def import_order(order: Order) -> ImportOrder:
    return ImportOrder(
        order_id=order_id(order.invoice),
        customer_id=order.customer or "",
        lines=tuple(
            OrderLine(line.sku, line.description, line.quantity, line.price) for line in order.goods
        ),
        charges=tuple(
            Charge(line.code, line.description, line.quantity, line.price) for line in order.charges
        ),
        currency=CURRENCY,
        exponent=EXPONENT,
        address=Address(country=order.country),
        payment_method=ELSEWHERE,
        placed_at=order.at,
        reference=order.invoice,
    )


def adjust_stock(document: Document) -> list[AdjustStock]:
    """The stock adjustments of a document, one for each line; none for other documents."""
    if not isinstance(document, StockAdjustment):
        return []
    adjustments = []
    for movement in movements(document):
        reason = f"invoice {movement.line.invoice}"
        if movement.line.description:
            reason += f": {movement.line.description}"
        adjustments.append(AdjustStock(movement.sku, movement.units, reason))
    return adjustments


def import_product(line: Line) -> ImportProduct:
    return ImportProduct(line.sku, line.description, Money(line.price, CURRENCY, EXPONENT))


def receive_stock(sku: str, units: int) -> ReceiveStock:
    return ReceiveStock(sku, units, "opening stock")


def import_return(
    note: CreditNote, invoice: str, taken: Iterable[Allocation], *, cancels: bool
) -> ImportReturn:
    """cancels: whether all priced goods of the order are back, on the day of sale."""
    return ImportReturn(
        return_id=return_id(note.invoice, invoice),
        order_id=order_id(invoice),
        lines=tuple(Portion(each.number, each.units) for each in taken),
        reason=CANCELLED if cancels else CREDITED,
        returned_at=note.at,
        reference=note.invoice,
    )


def issue_credit(note: CreditNote, rest: Iterable[Remainder]) -> IssueCredit:
    return IssueCredit(
        booking_id=booking_id(note.invoice),
        customer_id=note.customer or "",
        lines=tuple(
            OrderLine(each.sku, each.line.description, each.units, each.line.price) for each in rest
        ),
        charges=tuple(
            Charge(line.code, line.description, -line.quantity, line.price) for line in note.charges
        ),
        currency=CURRENCY,
        exponent=EXPONENT,
        reference=note.invoice,
        issued_at=note.at,
    )


def restock(key: str, parts: Sequence[Allocation | Remainder], order_id: str = "") -> Restock:
    """key: the id of the return or booking that brought the goods. order_id: of the sale, if
    known."""
    return Restock(key, tuple(StockLine(each.sku, each.units) for each in parts), order_id)


def adjust_ledger(document: LedgerAdjustment) -> list[AdjustLedger]:
    """One booking for each line."""
    return [
        AdjustLedger(
            booking_id=booking_id(
                document.invoice if index == 0 else f"{document.invoice} {index}"
            ),
            amount=Money(line.value, CURRENCY, EXPONENT),
            reason=line.description,
            reference=document.invoice,
            booked_at=line.at,
        )
        for index, line in enumerate(document.lines)
    ]
