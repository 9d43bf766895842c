"""What each document of the file asks for, as commands."""

from uuid import UUID, uuid5

from eventstore.money import Money
from inventory.commands import AdjustStock, ReceiveStock
from shipping.commands import Address

from ..commands import ImportOrder, ListProduct
from ..events import Charge, OrderLine
from ..retail.documents import CreditNote, Document, LedgerAdjustment, Order, StockAdjustment
from ..retail.line import Line
from ..retail.opening_stock import OpeningStock
from ..retail.stock import Movement, movements

# An invoice is the same order in whatever file it comes.
INVOICES = UUID("3b0d1a5e-6f57-4c58-9d0a-0f4c2b7f9e11")

CURRENCY, EXPONENT = "GBP", 3
PAYMENT_METHOD = "tok_visa"
CREDIT_NOTE = "credit note "


def order_id(invoice: str) -> str:
    return str(uuid5(INVOICES, invoice))


def import_order(order: Order) -> ImportOrder:
    return ImportOrder(
        order_id=order_id(order.invoice),
        customer_id=order.customer or "",
        lines=tuple(OrderLine(line.sku, line.description, line.quantity, line.price) for line in order.goods),
        charges=tuple(Charge(line.code, line.description, line.quantity, line.price) for line in order.charges),
        currency=CURRENCY,
        exponent=EXPONENT,
        address=Address(country=order.country),
        payment_method=PAYMENT_METHOD,
        placed_at=order.at,
        reference=order.invoice,
    )


def adjust_stock(document: Document) -> list[AdjustStock]:
    """What a document moves beside an order's reservation; one for each line, as the shop's books have it."""
    match document:
        case StockAdjustment():
            return [_adjust(movement, _reason(movement.line)) for movement in movements(document)]
        case CreditNote():
            return [_adjust(movement, f"{CREDIT_NOTE}{document.invoice}") for movement in movements(document)]
        case Order() | LedgerAdjustment() | Document():
            return []


def list_product(line: Line) -> ListProduct:
    return ListProduct(line.sku, line.description, Money(line.price, CURRENCY, EXPONENT))


def receive_stock(opening: OpeningStock) -> ReceiveStock:
    return ReceiveStock(opening.sku, opening.units, "opening stock")


def is_credit(adjustment: AdjustStock) -> bool:
    return adjustment.reason.startswith(CREDIT_NOTE)


def _adjust(movement: Movement, reason: str) -> AdjustStock:
    return AdjustStock(movement.sku, movement.units, reason)


def _reason(line: Line) -> str:
    return f"invoice {line.invoice}: {line.description}" if line.description else f"invoice {line.invoice}"
