"""The commands of orders, returns, the catalogue, bookings without an order, and loyalty points."""

from datetime import datetime

from eventstore.messages import Command, InvalidMessage, Value
from eventstore.money import Money
from shipping.commands import Address

from .events import Charge, OrderLine, Portion


class Item(Value, frozen=True):
    """A product in the basket. seen: the unit price that the customer saw, if the client sends
    it."""

    sku: str
    quantity: int
    seen: Money | None = None

    def validate(self) -> None:
        if self.quantity < 1:
            raise InvalidMessage(
                f"Item: quantity {self.quantity} of {self.sku}; it must be at least 1."
            )


class ListProduct(Command, frozen=True):
    """Offer a product at a price; a delisted product is offered again."""

    sku: str
    name: str
    price: Money


class ImportProduct(Command, frozen=True):
    """Offer a product as a shop's history has it, unless the catalogue knows it: today's names and
    prices stay, and a delisted product stays delisted."""

    sku: str
    name: str
    price: Money


class RepriceProduct(Command, frozen=True):
    sku: str
    price: Money


class DelistProduct(Command, frozen=True):
    sku: str


class PlaceOrder(Command, frozen=True):
    """Place an order at the catalogue's prices. placed_at: set by the API; decisions read no
    clock."""

    order_id: str
    customer_id: str
    items: tuple[Item, ...]
    address: Address
    payment_method: str
    placed_at: datetime


class ImportOrder(Command, frozen=True):
    """An order with prices agreed elsewhere: a shop's history, another channel. customer_id: empty
    for a guest.

    currency, exponent: of all its prices. reference: the order's id in its source system.
    """

    order_id: str
    customer_id: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    currency: str
    exponent: int
    address: Address
    payment_method: str
    placed_at: datetime
    reference: str


class ConfirmOrder(Command, frozen=True):
    order_id: str


class CancelOrder(Command, frozen=True):
    order_id: str
    reason: str


class RefundOrder(Command, frozen=True):
    """Refund the whole payment. An order under way is cancelled; the parcel of a confirmed order is
    recalled."""

    order_id: str
    reason: str


class RequestReturn(Command, frozen=True):
    """Send goods back, or have charges refunded. return_id: chosen by the sender, so that a repeat
    is
    the same return.

    requested_at: set by the API.
    """

    return_id: str
    order_id: str
    lines: tuple[Portion, ...]
    charges: tuple[Portion, ...]
    reason: str
    requested_at: datetime


class ImportReturn(Command, frozen=True):
    """A return that was settled elsewhere: a shop's history. Its goods have arrived, so the status
    of
    the order does not matter."""

    return_id: str
    order_id: str
    lines: tuple[Portion, ...]
    reason: str
    returned_at: datetime
    reference: str


class ReceiveReturn(Command, frozen=True):
    """Goods have arrived. lines: the goods that arrived; empty for all that are awaited.

    delivery: the name of the parcel. Equal lines without a name, or with the same one, are a
    repeat.
    """

    return_id: str
    order_id: str
    lines: tuple[Portion, ...]
    received_at: datetime
    delivery: str = ""


class CompleteReturn(Command, frozen=True):
    return_id: str


class CloseReturn(Command, frozen=True):
    """Stop waiting for goods that do not arrive."""

    return_id: str
    order_id: str
    reason: str


class IssueCredit(Command, frozen=True):
    """Give money back without an order. currency, exponent: of all its prices."""

    booking_id: str
    customer_id: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    currency: str
    exponent: int
    reference: str
    issued_at: datetime


class AdjustLedger(Command, frozen=True):
    booking_id: str
    amount: Money
    reason: str
    reference: str
    booked_at: datetime


class RecordLoyaltyPoints(Command, frozen=True):
    """The loyalty partner has credited points for the order."""

    order_id: str
    points: int


class WithdrawLoyaltyPoints(Command, frozen=True):
    """The loyalty partner has taken the points of the order back."""

    order_id: str


COMMANDS = {
    "orders.list_product": ListProduct,
    "orders.import_product": ImportProduct,
    "orders.reprice_product": RepriceProduct,
    "orders.delist_product": DelistProduct,
    "orders.place_order": PlaceOrder,
    "orders.import_order": ImportOrder,
    "orders.confirm_order": ConfirmOrder,
    "orders.cancel_order": CancelOrder,
    "orders.refund_order": RefundOrder,
    "orders.request_return": RequestReturn,
    "orders.import_return": ImportReturn,
    "orders.receive_return": ReceiveReturn,
    "orders.complete_return": CompleteReturn,
    "orders.close_return": CloseReturn,
    "orders.issue_credit": IssueCredit,
    "orders.adjust_ledger": AdjustLedger,
    "orders.record_loyalty_points": RecordLoyaltyPoints,
    "orders.withdraw_loyalty_points": WithdrawLoyaltyPoints,
}
