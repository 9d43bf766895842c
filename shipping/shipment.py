"""The parcel of one order: requested, created or refused by the carrier; shipped, delivered; or
cancelled before.

The warehouse asks whether a parcel may leave, and is refused where it may not. What the carrier
tells is recorded.
"""

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Event, State, replace

from .commands import (
    Address,
    BookShipment,
    CancelShipment,
    CompleteCancellation,
    CreateShipment,
    DeliverShipment,
    RecordDelivered,
    RecordLost,
    RecordReturned,
    RecordShipped,
    RefuseShipment,
    ShipShipment,
)
from .events import (
    ShipmentCancellationRequested,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDisowned,
    ShipmentLost,
    ShipmentRefused,
    ShipmentRequested,
    ShipmentReturned,
    ShipmentShipped,
)


class ShipmentNotCreated(CommandRejected):
    """There is no parcel for the carrier to take."""


class ShipmentNotShipped(CommandRejected):
    """A parcel that has not left cannot arrive."""


class ShipmentAlreadyShipped(CommandRejected):
    """The parcel has left; it can only be returned."""


class ShipmentIsAnother(CommandRejected):
    """A parcel of this order is there, to another address."""


class ShipmentCalledOff(CommandRejected):
    """The order is cancelled, or its money goes back or has gone; its parcel stays here."""


# Of these the carrier has, or had, the parcel.
LEFT = ("shipped", "delivered", "lost", "returned")


class Shipment(State, frozen=True):
    """status: new, requested, created, refused, cancelled or one of LEFT.

    asked: whether the carrier was asked for it. booked: whether it has said so, or never will.
    """

    status: str = "new"
    cancelling: bool = False
    address: Address = Address()
    asked: bool = False
    booked: bool = False


def create(shipment: Shipment, command: CreateShipment) -> list[Event]:
    """Where the carrier tells of a parcel that was never asked for, none is asked for until a
    person has seen to it."""
    if shipment.asked and shipment.address != command.address:
        raise ShipmentIsAnother(command.order_id)
    if shipment.status in LEFT and not shipment.asked:
        raise ShipmentAlreadyShipped(command.order_id)
    if shipment.status != "new":
        return []
    return [ShipmentRequested(command.order_id, command.address)]


def book(shipment: Shipment, command: BookShipment) -> list[Event]:
    """A parcel may leave before the carrier's answer to its booking is recorded; the tracking
    number is in that."""
    if shipment.booked or shipment.status not in ("requested", *LEFT):
        return []
    return [ShipmentCreated(command.order_id, command.tracking)]


def refuse(shipment: Shipment, command: RefuseShipment) -> list[Event]:
    if shipment.status in LEFT and shipment.asked and not shipment.booked:
        return [ShipmentDisowned(command.order_id, command.reason)]
    if shipment.status != "requested":
        return []
    return [ShipmentRefused(command.order_id, command.reason)]


def cancel(shipment: Shipment, command: CancelShipment) -> list[Event]:
    if shipment.status == "new":
        return [ShipmentCancelled(command.order_id)]
    if shipment.status in ("shipped", "delivered", "lost"):
        raise ShipmentAlreadyShipped(command.order_id)
    if shipment.status in ("refused", "cancelled", "returned") or shipment.cancelling:
        return []
    return [ShipmentCancellationRequested(command.order_id, command.reason)]


def complete_cancellation(shipment: Shipment, command: CompleteCancellation) -> list[Event]:
    if shipment.status != "created" or not shipment.cancelling:
        return []
    return [ShipmentCancelled(command.order_id)]


def ship(shipment: Shipment, command: ShipShipment) -> list[Event]:
    if shipment.status in LEFT:
        return []
    if shipment.status != "created" or shipment.cancelling:
        raise ShipmentNotCreated(command.order_id)
    return [ShipmentShipped(command.order_id)]


def deliver(shipment: Shipment, command: DeliverShipment) -> list[Event]:
    if shipment.status == "delivered":
        return []
    if shipment.status not in ("shipped", "lost"):
        raise ShipmentNotShipped(command.order_id)
    return [ShipmentDelivered(command.order_id)]


def record_shipped(shipment: Shipment, command: RecordShipped) -> list[Event]:
    return [] if shipment.status in LEFT else [ShipmentShipped(command.order_id)]


def record_delivered(shipment: Shipment, command: RecordDelivered) -> list[Event]:
    if shipment.status in ("delivered", "returned"):
        return []
    return [*_left_before(shipment, command.order_id), ShipmentDelivered(command.order_id)]


def record_lost(shipment: Shipment, command: RecordLost) -> list[Event]:
    if shipment.status in ("lost", "returned"):
        return []
    return [*_left_before(shipment, command.order_id), ShipmentLost(command.order_id)]


def record_returned(shipment: Shipment, command: RecordReturned) -> list[Event]:
    if shipment.status == "returned":
        return []
    return [*_left_before(shipment, command.order_id), ShipmentReturned(command.order_id)]


def _left_before(shipment: Shipment, order_id: str) -> list[Event]:
    """Word of its leaving may come later, or never."""
    return [] if shipment.status in LEFT else [ShipmentShipped(order_id)]


def created(shipment: Shipment, event: ShipmentCreated) -> Shipment:
    return replace(
        shipment,
        booked=True,
        status="created" if shipment.status == "requested" else shipment.status,
    )


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
        RecordShipped: record_shipped,
        RecordDelivered: record_delivered,
        RecordLost: record_lost,
        RecordReturned: record_returned,
    },
    evolve={
        ShipmentRequested: lambda shipment, event: replace(
            shipment, status="requested", address=event.address, asked=True
        ),
        ShipmentCreated: created,
        ShipmentRefused: lambda shipment, event: replace(shipment, status="refused"),
        ShipmentCancellationRequested: lambda shipment, event: replace(shipment, cancelling=True),
        ShipmentCancelled: lambda shipment, event: replace(
            shipment, status="cancelled", cancelling=False
        ),
        ShipmentShipped: lambda shipment, event: replace(shipment, status="shipped"),
        ShipmentDelivered: lambda shipment, event: replace(shipment, status="delivered"),
        ShipmentDisowned: lambda shipment, event: replace(shipment, booked=True),
        ShipmentLost: lambda shipment, event: replace(shipment, status="lost"),
        ShipmentReturned: lambda shipment, event: replace(shipment, status="returned"),
    },
)
