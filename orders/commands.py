"""What orders, returns, the catalogue and the books can be asked for."""

from datetime import datetime

from eventstore.messages import Command, InvalidMessage, Value
from eventstore.money import Money
from shipping.commands import Address

from .events import Charge, OrderLine, Portion


class Item(Value, frozen=True):
    """What a customer puts into the basket. seen: the unit price that the customer saw, if it is
    told."""

    sku: str
    quantity: int
    seen: Money | None = None

    def validate(self) -> None:
        if self.quantity < 1:
            raise InvalidMessage(f"Item: {self.quantity} of {self.sku} is not at least 1.")


class ListProduct(Command, frozen=True):
    """Offer a product at a price, or again after it was delisted."""

    sku: str
    name: str
    price: Money


class RepriceProduct(Command, frozen=True):
    sku: str
    price: Money


class DelistProduct(Command, frozen=True):
    sku: str


class PlaceOrder(Command, frozen=True):
    """At the catalogue's prices. placed_at: told by whoever stands at the door, for nothing below
    it has a clock."""

    order_id: str
    customer_id: str
    items: tuple[Item, ...]
    address: Address
    payment_method: str
    placed_at: datetime


class ImportOrder(Command, frozen=True):
    """An order whose prices were agreed elsewhere: a shop's history, another channel. customer_id:
    empty for a guest.

    currency, exponent: of all prices in it. reference: its name where it comes from.
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
    """Give all of its money back: an order under way is cancelled; of a confirmed one the parcel is
    called back."""

    order_id: str
    reason: str


class RequestReturn(Command, frozen=True):
    """Send goods back, or have charges refunded. return_id: given by whoever asks, so that asking
    twice is one return.

    requested_at: told by whoever stands at the door.
    """

    return_id: str
    order_id: str
    lines: tuple[Portion, ...]
    charges: tuple[Portion, ...]
    reason: str
    requested_at: datetime


class ImportReturn(Command, frozen=True):
    """A return that was settled elsewhere: a shop's history. Its goods have come, whatever has
    become of the order."""

    return_id: str
    order_id: str
    lines: tuple[Portion, ...]
    reason: str
    returned_at: datetime
    reference: str


class ReceiveReturn(Command, frozen=True):
    """Goods have arrived. lines: what came of them, when it is not all that is still awaited.

    delivery: the name of the parcel. Told again without a name, or with the same one, equal lines
    are a repeat.
    """

    return_id: str
    order_id: str
    lines: tuple[Portion, ...]
    received_at: datetime
    delivery: str = ""


class CompleteReturn(Command, frozen=True):
    return_id: str


class CloseReturn(Command, frozen=True):
    """Wait no longer for goods that do not come."""

    return_id: str
    order_id: str
    reason: str


class IssueCredit(Command, frozen=True):
    """Give money back beside any order. currency, exponent: of all prices in it."""

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


COMMANDS = {
    "orders.list_product": ListProduct,
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
}
