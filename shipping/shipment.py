"""The parcel of one order: requested, then created or refused by the carrier; shipped and
delivered,
or cancelled before.

A command of the warehouse is refused where the parcel may not leave. What the carrier reports is
always recorded.
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
    """The order has no booked parcel to ship."""


class ShipmentNotShipped(CommandRejected):
    """Only a shipped or lost parcel can be delivered."""


class ShipmentAlreadyShipped(CommandRejected):
    """The parcel has left already; its goods can only be returned."""


class ShipmentIsAnother(CommandRejected):
    """The order has a parcel to another address."""


class ShipmentCalledOff(CommandRejected):
    """The order is cancelled or refunded; its parcel must not leave."""


# In these statuses the carrier has, or had, the parcel.
LEFT = ("shipped", "delivered", "lost", "returned")


class Shipment(State, frozen=True):
    """status: new, requested, created, refused, cancelled or one of LEFT.

    asked: whether a booking was requested. booked: whether the booking is settled: made, or refused
    for a parcel that has left.
    """

    status: str = "new"
    cancelling: bool = False
    address: Address = Address()
    asked: bool = False
    booked: bool = False


def create(shipment: Shipment, command: CreateShipment) -> list[Event]:
    """Refused where the carrier reports a parcel that was never requested: an operator decides."""
    if shipment.asked and shipment.address != command.address:
        raise ShipmentIsAnother(command.order_id)
    if shipment.status in LEFT and not shipment.asked:
        raise ShipmentAlreadyShipped(command.order_id)
    if shipment.status != "new":
        return []
    if command.elsewhere:
        return [ShipmentCreated(command.order_id, tracking="")]
    return [ShipmentRequested(command.order_id, command.address)]


def book(shipment: Shipment, command: BookShipment) -> list[Event]:
    """The parcel may leave before the answer to its booking, which has the tracking number."""
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
    if not shipment.asked:
        return [ShipmentCancelled(command.order_id)]  # sent elsewhere: the carrier has no parcel
    return [ShipmentCancellationRequested(command.order_id, command.reason)]


def complete_cancellation(shipment: Shipment, command: CompleteCancellation) -> list[Event]:
    if shipment.status != "created" or not shipment.cancelling:
        return []
    return [ShipmentCancelled(command.order_id)]


def ship(shipment: Shipment, command: ShipShipment) -> list[Event]:
    if shipment.status in LEFT:
        return []
    if shipment.status != "created" or shipment.cancelling:
        status = "being cancelled" if shipment.cancelling else shipment.status
        raise ShipmentNotCreated(f"The parcel of order {command.order_id} is {status}.")
    return [ShipmentShipped(command.order_id)]


def deliver(shipment: Shipment, command: DeliverShipment) -> list[Event]:
    if shipment.status == "delivered":
        return []
    if shipment.status not in ("shipped", "lost"):
        raise ShipmentNotShipped(f"The parcel of order {command.order_id} is {shipment.status}.")
    return [ShipmentDelivered(command.order_id)]


def record_shipped(shipment: Shipment, command: RecordShipped) -> list[Event]:
    return [] if shipment.status in LEFT else [ShipmentShipped(command.order_id)]


def record_delivered(shipment: Shipment, command: RecordDelivered) -> list[Event]:
    if shipment.status in ("delivered", "returned"):
        return []
    return [*_ship_first(shipment, command.order_id), ShipmentDelivered(command.order_id)]


def record_lost(shipment: Shipment, command: RecordLost) -> list[Event]:
    if shipment.status in ("lost", "returned"):
        return []
    return [*_ship_first(shipment, command.order_id), ShipmentLost(command.order_id)]


def record_returned(shipment: Shipment, command: RecordReturned) -> list[Event]:
    if shipment.status == "returned":
        return []
    return [*_ship_first(shipment, command.order_id), ShipmentReturned(command.order_id)]


def _ship_first(shipment: Shipment, order_id: str) -> list[Event]:
    """The report that it left may arrive later, or never."""
    return [] if shipment.status in LEFT else [ShipmentShipped(order_id)]


def created(shipment: Shipment, event: ShipmentCreated) -> Shipment:
    return replace(
        shipment,
        booked=True,
        status="created" if shipment.status in ("new", "requested") else shipment.status,
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
