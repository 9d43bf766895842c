"""Shipping's part of the choreographed process: request a parcel for reserved goods, cancel that of
an undone order."""

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

# The payment method of orders that were paid and sent outside this platform.
ELSEWHERE = "elsewhere"


class Line(Value, frozen=True):
    sku: str


class OrderPlaced(Announced, frozen=True):
    order_id: str
    address: Address
    payment_method: str


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
    """status: new, noted (placed, nothing to ship yet), asked; cancelled while the parcel is
    recalled, void when the carrier has no parcel, or no longer.

    address: of the order. elsewhere: paid and sent outside this platform.
    """

    address: Address = Address()
    elsewhere: bool = False


def order_placed(shipping: Shipping, event: OrderPlaced) -> Reaction:
    elsewhere = event.payment_method == ELSEWHERE
    return Reaction(Shipping(status="noted", address=event.address, elsewhere=elsewhere))


def inventory_reserved(shipping: Shipping, event: InventoryReserved) -> Reaction:
    if shipping.status != "noted" or not event.lines:
        return Reaction(shipping)
    return Reaction(
        replace(shipping, status="asked"),
        [CreateShipment(event.order_id, shipping.address, shipping.elsewhere)],
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
    """The inventory's policy deals with a parcel that leaves during its recall: it waits for the
    goods."""
    if shipping.status in ("asked", "cancelled"):
        return Reaction(shipping)
    return attention.call(Reaction(shipping), "a parcel left that is not booked")


def parcel_is_gone(shipping: Shipping, event: ShipmentLost | ShipmentReturned) -> Reaction:
    """During a recall the policies that wait for the parcel handle this event themselves."""
    if shipping.status != "asked":
        return Reaction(shipping)
    fact = (
        "the parcel is lost"
        if isinstance(event, ShipmentLost)
        else "the carrier brought the parcel back"
    )
    return attention.call(Reaction(shipping), fact)


def shipment_disowned(shipping: Shipping, event: ShipmentDisowned) -> Reaction:
    """During a recall the inventory's policy alerts an operator."""
    if shipping.status == "cancelled":
        return Reaction(shipping)
    return attention.call(
        Reaction(shipping), f"the carrier took a parcel that it refuses: {event.reason}"
    )


def command_refused(shipping: Shipping, event: CommandRefused) -> Reaction:
    """A refused cancellation means that the parcel has left: the inventory's policy deals with
    it."""
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
