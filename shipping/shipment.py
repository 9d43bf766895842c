"""The parcel of one order: requested, created or refused by the carrier; shipped, delivered; or cancelled before."""

from eventstore.aggregate import Aggregate, Refusal
from eventstore.messages import Event, State, replace

from .commands import (
    Address,
    BookShipment,
    CancelShipment,
    CompleteCancellation,
    CreateShipment,
    DeliverShipment,
    RefuseShipment,
    ShipShipment,
)
from .events import (
    ShipmentCancellationRequested,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentRefused,
    ShipmentRequested,
    ShipmentShipped,
)


class ShipmentNotCreated(Refusal):
    """There is no parcel for the carrier to take."""


class ShipmentNotShipped(Refusal):
    """A parcel that has not left cannot arrive."""


class ShipmentAlreadyShipped(Refusal):
    """The parcel has left; it can only be returned."""


class ShipmentIsAnother(Refusal):
    """A parcel of this order is there, to another address."""


class Shipment(State, frozen=True):
    status: str = "new"
    cancelling: bool = False
    address: Address | None = None


def create(shipment: Shipment, command: CreateShipment) -> list[Event]:
    if shipment.address is not None and shipment.address != command.address:
        raise ShipmentIsAnother(command.order_id)
    if shipment.status != "new":
        return []
    return [ShipmentRequested(command.order_id, command.address)]


def book(shipment: Shipment, command: BookShipment) -> list[Event]:
    if shipment.status != "requested":
        return []
    return [ShipmentCreated(command.order_id, command.tracking)]


def refuse(shipment: Shipment, command: RefuseShipment) -> list[Event]:
    if shipment.status != "requested":
        return []
    return [ShipmentRefused(command.order_id, command.reason)]


def cancel(shipment: Shipment, command: CancelShipment) -> list[Event]:
    if shipment.status == "new":
        return [ShipmentCancelled(command.order_id)]
    if shipment.status in ("shipped", "delivered"):
        raise ShipmentAlreadyShipped(command.order_id)
    if shipment.status in ("refused", "cancelled") or shipment.cancelling:
        return []
    return [ShipmentCancellationRequested(command.order_id, command.reason)]


def complete_cancellation(shipment: Shipment, command: CompleteCancellation) -> list[Event]:
    if shipment.status != "created" or not shipment.cancelling:
        return []
    return [ShipmentCancelled(command.order_id)]


def ship(shipment: Shipment, command: ShipShipment) -> list[Event]:
    if shipment.status in ("shipped", "delivered"):
        return []
    if shipment.status != "created" or shipment.cancelling:
        raise ShipmentNotCreated(command.order_id)
    return [ShipmentShipped(command.order_id)]


def deliver(shipment: Shipment, command: DeliverShipment) -> list[Event]:
    if shipment.status == "delivered":
        return []
    if shipment.status != "shipped":
        raise ShipmentNotShipped(command.order_id)
    return [ShipmentDelivered(command.order_id)]


SHIPMENT = Aggregate(
    category="shipment",
    identity="order_id",
    initial=Shipment(),
    decide={
        CreateShipment: create,
        BookShipment: book,
        RefuseShipment: refuse,
        CancelShipment: cancel,
        CompleteCancellation: complete_cancellation,
        ShipShipment: ship,
        DeliverShipment: deliver,
    },
    evolve={
        ShipmentRequested: lambda shipment, event: replace(shipment, status="requested", address=event.address),
        ShipmentCreated: lambda shipment, event: replace(shipment, status="created"),
        ShipmentRefused: lambda shipment, event: replace(shipment, status="refused"),
        ShipmentCancellationRequested: lambda shipment, event: replace(shipment, cancelling=True),
        ShipmentCancelled: lambda shipment, event: replace(shipment, status="cancelled", cancelling=False),
        ShipmentShipped: lambda shipment, event: replace(shipment, status="shipped"),
        ShipmentDelivered: lambda shipment, event: replace(shipment, status="delivered"),
    },
)
