"""The shipping's part of the process without a conductor: what others announce, and what we do about it.

The classes are ours: of each announcement they name what we need of it, and pass over the rest (a tolerant reader).
"""

from operator import attrgetter

from eventstore.messages import Announced, CommandRefused, State, Value, replace
from eventstore.subscriptions import Reaction, Saga

from .commands import Address, CancelShipment, CreateShipment


class Line(Value, frozen=True):
    sku: str


class OrderPlaced(Announced, frozen=True):
    order_id: str
    address: Address


class InventoryReserved(Announced, frozen=True):
    order_id: str
    lines: tuple[Line, ...]


class OrderCancelled(Announced, frozen=True):
    order_id: str
    reason: str


class Shipping(State, frozen=True):
    """status: noted, asked for, or cancelled. address: of the order, kept until there is something to ship."""

    status: str = "new"
    address: Address = Address()


def order_placed(shipping: Shipping, event: OrderPlaced) -> Reaction:
    return Reaction(Shipping("noted", event.address))


def inventory_reserved(shipping: Shipping, event: InventoryReserved) -> Reaction:
    if shipping.status != "noted" or not event.lines:
        return Reaction(shipping)
    return Reaction(replace(shipping, status="asked"), [CreateShipment(event.order_id, shipping.address)])


def order_cancelled(shipping: Shipping, event: OrderCancelled) -> Reaction:
    cancelled = replace(shipping, status="cancelled")
    if shipping.status != "asked":
        return Reaction(cancelled)
    return Reaction(cancelled, [CancelShipment(event.order_id, event.reason)])


POLICY = Saga(
    initial=Shipping(),
    key=attrgetter("order_id"),
    react={
        OrderPlaced: order_placed,
        InventoryReserved: inventory_reserved,
        OrderCancelled: order_cancelled,
        CommandRefused: lambda shipping, event: Reaction(shipping),
    },
    contract={
        "orders.order_placed": OrderPlaced,
        "orders.order_cancelled": OrderCancelled,
        "inventory.inventory_reserved": InventoryReserved,
    },
)
