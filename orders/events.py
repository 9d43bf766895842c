"""The events of orders, returns, the catalogue, bookings without an order, and loyalty points."""

from datetime import datetime

from eventstore.messages import Event, InvalidMessage, Value
from eventstore.money import Money
from shipping.commands import Address


class OrderLine(Value, frozen=True):
    """Goods of an order. unit_price: in the unit of the order's total."""

    sku: str
    name: str
    quantity: int
    unit_price: int


class Charge(Value, frozen=True):
    """Not goods: postage, a discount, a fee. unit_price: in the unit of the order's total."""

    code: str
    name: str
    quantity: int
    unit_price: int


class Portion(Value, frozen=True):
    """Units of one line or charge of an order. number: of the line or charge, counted from 1."""

    number: int
    quantity: int

    def validate(self) -> None:
        if self.number < 1 or self.quantity < 1:
            raise InvalidMessage(
                f"Portion: number {self.number}, quantity {self.quantity}; both must be at least 1."
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
    """The whole payment of a confirmed order is to be refunded.

    recalled: whether the parcel is recalled first, if it has not left; always true today.
    """

    order_id: str
    reason: str
    recalled: bool


class ReturnPromised(Event, frozen=True):
    """These units belong to a return now; no other return can have them."""

    order_id: str
    return_id: str
    lines: tuple[Portion, ...]
    charges: tuple[Portion, ...]


class ReturnForgone(Event, frozen=True):
    """These units do not come back by this return; another return may have them."""

    order_id: str
    return_id: str
    lines: tuple[Portion, ...]
    charges: tuple[Portion, ...]


class ReturnRequested(Event, frozen=True):
    """refund: what is refunded if all goods arrive. reference: the return's id in its source
    system. settled: the money was given back there."""

    return_id: str
    order_id: str
    customer_id: str
    lines: tuple[ReturnedLine, ...]
    charges: tuple[ReturnedCharge, ...]
    refund: Money
    reason: str
    requested_at: datetime
    reference: str = ""
    settled: bool = False


class GoodsReturned(Event, frozen=True):
    """lines: the goods that arrived. refund: for these goods and for the charges, no more.

    delivery: the name of the parcel, if it has one.
    """

    return_id: str
    order_id: str
    lines: tuple[ReturnedLine, ...]
    refund: Money
    received_at: datetime
    delivery: str = ""


class ReturnContinued(Event, frozen=True):
    """More of the announced goods arrived, in a later parcel. continued_by: the return that these
    units belong to now."""

    return_id: str
    order_id: str
    continued_by: str
    lines: tuple[Portion, ...]


class ReturnCompleted(Event, frozen=True):
    """Restocked and refunded."""

    return_id: str
    order_id: str


class ReturnClosed(Event, frozen=True):
    """Closed without goods; none are awaited any more."""

    return_id: str
    order_id: str
    reason: str


class CreditIssued(Event, frozen=True):
    """Money given back without an order: to a guest, for a charge, for goods whose sale was not
    found.

    customer_id: empty for a guest. lines: goods that came back. total: the money given back, above
    0.
    """

    booking_id: str
    customer_id: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    total: Money
    reference: str
    issued_at: datetime


class LedgerAdjusted(Event, frozen=True):
    """A bookkeeper's correction. amount: below 0 for a write-off."""

    booking_id: str
    amount: Money
    reason: str
    reference: str
    booked_at: datetime


class LoyaltyPointsEarned(Event, frozen=True):
    """What the loyalty partner has credited to the customer for this order."""

    order_id: str
    points: int


class LoyaltyPointsTakenBack(Event, frozen=True):
    order_id: str
    points: int


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
    "orders.loyalty_points_earned": LoyaltyPointsEarned,
    "orders.loyalty_points_taken_back": LoyaltyPointsTakenBack,
}

UPCASTERS = {
    # Version 1 is from before parcels had names.
    "orders.goods_returned": {1: lambda data: data | {"delivery": ""}},
}
