"""What has happened to an order's parcel."""

from eventstore.messages import Event

from .commands import Address


class ShipmentRequested(Event, frozen=True):
    order_id: str
    address: Address


class ShipmentCreated(Event, frozen=True):
    order_id: str
    tracking: str


class ShipmentRefused(Event, frozen=True):
    order_id: str
    reason: str


class ShipmentCancellationRequested(Event, frozen=True):
    order_id: str
    reason: str


class ShipmentCancelled(Event, frozen=True):
    """Also said when nothing had been asked of the carrier: a shipment that comes later is not
    created."""

    order_id: str


class ShipmentShipped(Event, frozen=True):
    order_id: str


class ShipmentDelivered(Event, frozen=True):
    order_id: str


class ShipmentDisowned(Event, frozen=True):
    """The carrier's answer to the booking: it does not go there; and yet it has told that it took
    the parcel."""

    order_id: str
    reason: str


class ShipmentLost(Event, frozen=True):
    """The carrier's word; it may be found and delivered later."""

    order_id: str


class ShipmentReturned(Event, frozen=True):
    """The carrier has brought it back to us undelivered, or after it was refused at the door."""

    order_id: str


EVENTS = {
    "shipping.shipment_requested": ShipmentRequested,
    "shipping.shipment_created": ShipmentCreated,
    "shipping.shipment_refused": ShipmentRefused,
    "shipping.shipment_cancellation_requested": ShipmentCancellationRequested,
    "shipping.shipment_cancelled": ShipmentCancelled,
    "shipping.shipment_shipped": ShipmentShipped,
    "shipping.shipment_delivered": ShipmentDelivered,
    "shipping.shipment_disowned": ShipmentDisowned,
    "shipping.shipment_lost": ShipmentLost,
    "shipping.shipment_returned": ShipmentReturned,
}
