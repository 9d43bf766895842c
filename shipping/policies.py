"""The shipping's part of the process without a conductor: what others announce, and what we do
about it.

The classes are ours: of each announcement they name what we need of it, and pass over the rest (a
tolerant reader).
"""

from operator import attrgetter

from eventstore.messages import Announced, CommandRefused, Event, Intervened, Value, replace
from eventstore.sagas import attention
from eventstore.sagas.attention import Attentive
from eventstore.subscriptions import Reaction, Saga

from .commands import Address, CancelShipment, CreateShipment
from .events import (
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentDisowned,
    ShipmentLost,
    ShipmentRefused,
    ShipmentReturned,
    ShipmentShipped,
)


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


class OrderRefundRequested(Announced, frozen=True):
    order_id: str
    reason: str
    recalled: bool


class Shipping(Attentive, frozen=True):
    """status: noted, asked for, void when the carrier has none or none any more; or cancelled until
    then.

    address: of the order, kept until there is something to ship.
    """

    address: Address = Address()


def order_placed(shipping: Shipping, event: OrderPlaced) -> Reaction:
    return Reaction(Shipping(status="noted", address=event.address))


def inventory_reserved(shipping: Shipping, event: InventoryReserved) -> Reaction:
    if shipping.status != "noted" or not event.lines:
        return Reaction(shipping)
    return Reaction(
        replace(shipping, status="asked"), [CreateShipment(event.order_id, shipping.address)]
    )


def order_cancelled(shipping: Shipping, event: OrderCancelled) -> Reaction:
    if shipping.status != "asked":
        return Reaction(replace(shipping, status="void"))
    return Reaction(
        replace(shipping, status="cancelled"), [CancelShipment(event.order_id, event.reason)]
    )


def order_refund_requested(shipping: Shipping, event: OrderRefundRequested) -> Reaction:
    if not event.recalled or shipping.status != "asked":
        return Reaction(shipping)
    return Reaction(
        replace(shipping, status="cancelled"), [CancelShipment(event.order_id, event.reason)]
    )


def shipment_undone(shipping: Shipping, event: ShipmentRefused | ShipmentCancelled) -> Reaction:
    return Reaction(replace(shipping, status="void"))


def parcel_left(shipping: Shipping, event: ShipmentShipped | ShipmentDelivered) -> Reaction:
    """One that leaves while it is called off is the inventory's to see to, which waits for its
    goods."""
    if shipping.status in ("asked", "cancelled"):
        return Reaction(shipping)
    return attention.call(Reaction(shipping), "a parcel left that is not booked")


def parcel_is_gone(shipping: Shipping, event: ShipmentLost | ShipmentReturned) -> Reaction:
    """Whoever waits for a parcel that is called off hears of it too."""
    if shipping.status != "asked":
        return Reaction(shipping)
    fact = (
        "the parcel is lost"
        if isinstance(event, ShipmentLost)
        else "the carrier brought the parcel back"
    )
    return attention.call(Reaction(shipping), fact)


def shipment_disowned(shipping: Shipping, event: ShipmentDisowned) -> Reaction:
    """While it is called off, the inventory calls a person."""
    if shipping.status == "cancelled":
        return Reaction(shipping)
    return attention.call(
        Reaction(shipping), f"the carrier took a parcel that it refuses: {event.reason}"
    )


def command_refused(shipping: Shipping, event: CommandRefused) -> Reaction:
    """A parcel that has left is not called off; that is the inventory's to see to."""
    if event.command != "shipping.create_shipment":
        return Reaction(shipping)
    return attention.call(Reaction(shipping), "a parcel left that was never booked")


REACT: dict[type[Event], attention.React] = {
    OrderPlaced: order_placed,
    InventoryReserved: inventory_reserved,
    OrderCancelled: order_cancelled,
    OrderRefundRequested: order_refund_requested,
    ShipmentRefused: shipment_undone,
    ShipmentCancelled: shipment_undone,
    ShipmentShipped: parcel_left,
    ShipmentDelivered: parcel_left,
    ShipmentDisowned: shipment_disowned,
    ShipmentLost: parcel_is_gone,
    ShipmentReturned: parcel_is_gone,
    Intervened: lambda shipping, event: Reaction(shipping),
    CommandRefused: command_refused,
}

POLICY = Saga(
    initial=Shipping(),
    key=attrgetter("order_id"),
    react=attention.watched(REACT, Reaction),
    contract={
        "orders.order_placed": OrderPlaced,
        "orders.order_cancelled": OrderCancelled,
        "orders.order_refund_requested": OrderRefundRequested,
        "inventory.inventory_reserved": InventoryReserved,
    },
)
