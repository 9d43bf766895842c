"""What has happened to orders and to the catalogue."""

from datetime import datetime

from eventstore.messages import Event, Value
from eventstore.money import Money
from shipping.commands import Address


class OrderLine(Value, frozen=True):
    """Goods. unit_price: in the unit of the order's total."""

    sku: str
    name: str
    quantity: int
    unit_price: int


class Charge(Value, frozen=True):
    """What is paid beside goods: postage, a discount, a fee. unit_price: in the unit of the order's total."""

    code: str
    name: str
    quantity: int
    unit_price: int


class ProductListed(Event, frozen=True):
    sku: str
    name: str
    price: Money


class ProductRepriced(Event, frozen=True):
    sku: str
    price: Money


class ProductDelisted(Event, frozen=True):
    sku: str


class OrderPlaced(Event, frozen=True):
    order_id: str
    customer_id: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    total: Money
    address: Address
    payment_method: str
    placed_at: datetime
    reference: str = ""


class OrderConfirmed(Event, frozen=True):
    order_id: str


class OrderCancelled(Event, frozen=True):
    order_id: str
    reason: str


class ImportAdvanced(Event, frozen=True):
    """documents, lines: how many of the file, from its beginning, are in."""

    import_id: str
    documents: int
    lines: int


EVENTS = {
    "orders.product_listed": ProductListed,
    "orders.product_repriced": ProductRepriced,
    "orders.product_delisted": ProductDelisted,
    "orders.order_placed": OrderPlaced,
    "orders.order_confirmed": OrderConfirmed,
    "orders.order_cancelled": OrderCancelled,
    "orders.import_advanced": ImportAdvanced,
}
