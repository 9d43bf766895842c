"""What has happened to orders, to what came back of them, to the catalogue, and in the books beside
orders."""

from datetime import datetime

from eventstore.messages import Event, InvalidMessage, Value
from eventstore.money import Money
from shipping.commands import Address


class OrderLine(Value, frozen=True):
    """Goods. unit_price: in the unit of the order's total."""

    sku: str
    name: str
    quantity: int
    unit_price: int


class Charge(Value, frozen=True):
    """What is paid beside goods: postage, a discount, a fee. unit_price: in the unit of the order's
    total."""

    code: str
    name: str
    quantity: int
    unit_price: int


class Portion(Value, frozen=True):
    """So many units of an order's line, or charge, of that number, counted from 1."""

    number: int
    quantity: int

    def validate(self) -> None:
        if self.number < 1 or self.quantity < 1:
            raise InvalidMessage(
                f"Portion: {self.quantity} of number {self.number}; both are at least 1."
            )


class ReturnedLine(Value, frozen=True):
    """number: of the order's line. unit_price: in the unit of the order's total."""

    number: int
    sku: str
    quantity: int
    unit_price: int


class ReturnedCharge(Value, frozen=True):
    """number: of the order's charge. unit_price: in the unit of the order's total."""

    number: int
    code: str
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


class OrderRefundRequested(Event, frozen=True):
    """All of the money of a confirmed order goes back.

    recalled: whether its parcel is called back first, if that has not left; it always is today.
    """

    order_id: str
    reason: str
    recalled: bool


class ReturnPromised(Event, frozen=True):
    """The order's word that these units belong to a return now, so that no other can have them."""

    order_id: str
    return_id: str
    lines: tuple[Portion, ...]
    charges: tuple[Portion, ...]


class ReturnForgone(Event, frozen=True):
    """The order's word that these units do not come back after all; another return may have
    them."""

    order_id: str
    return_id: str
    lines: tuple[Portion, ...]
    charges: tuple[Portion, ...]


class ReturnRequested(Event, frozen=True):
    """refund: what is to be given back if all of it comes. reference: its name where it comes
    from."""

    return_id: str
    order_id: str
    customer_id: str
    lines: tuple[ReturnedLine, ...]
    charges: tuple[ReturnedCharge, ...]
    refund: Money
    reason: str
    requested_at: datetime
    reference: str = ""


class GoodsReturned(Event, frozen=True):
    """The warehouse's word: lines are what really came. refund: of these and of the charges, and no
    more.

    delivery: the name of the parcel they came in, if it was told.
    """

    return_id: str
    order_id: str
    lines: tuple[ReturnedLine, ...]
    refund: Money
    received_at: datetime
    delivery: str = ""


class ReturnContinued(Event, frozen=True):
    """More of what was announced came later than the rest. continued_by: the return that these
    units are now."""

    return_id: str
    order_id: str
    continued_by: str
    lines: tuple[Portion, ...]


class ReturnCompleted(Event, frozen=True):
    """On the shelf again, and paid back."""

    return_id: str
    order_id: str


class ReturnClosed(Event, frozen=True):
    """Nothing came of it, and nothing will."""

    return_id: str
    order_id: str
    reason: str


class CreditIssued(Event, frozen=True):
    """Money given back of which no order knows: to a guest, for a charge, for goods whose sale was
    not found.

    customer_id: empty for a guest. lines: goods that came back. total: what is given back, above 0.
    """

    booking_id: str
    customer_id: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    total: Money
    reference: str
    issued_at: datetime


class LedgerAdjusted(Event, frozen=True):
    """A bookkeeper's correction; amount is below 0 where something is written off."""

    booking_id: str
    amount: Money
    reason: str
    reference: str
    booked_at: datetime


EVENTS = {
    "orders.product_listed": ProductListed,
    "orders.product_repriced": ProductRepriced,
    "orders.product_delisted": ProductDelisted,
    "orders.order_placed": OrderPlaced,
    "orders.order_confirmed": OrderConfirmed,
    "orders.order_cancelled": OrderCancelled,
    "orders.order_refund_requested": OrderRefundRequested,
    "orders.return_promised": ReturnPromised,
    "orders.return_forgone": ReturnForgone,
    "orders.return_requested": ReturnRequested,
    "orders.goods_returned": GoodsReturned,
    "orders.return_continued": ReturnContinued,
    "orders.return_completed": ReturnCompleted,
    "orders.return_closed": ReturnClosed,
    "orders.credit_issued": CreditIssued,
    "orders.ledger_adjusted": LedgerAdjusted,
}

UPCASTERS = {
    # Before parcels had names.
    "orders.goods_returned": {1: lambda data: data | {"delivery": ""}},
}
