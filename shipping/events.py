"""The events of an order's parcel."""

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
    """Also recorded when the carrier was never called: a later CreateShipment does nothing."""

    order_id: str


class ShipmentShipped(Event, frozen=True):
    order_id: str


class ShipmentDelivered(Event, frozen=True):
    order_id: str


class ShipmentDisowned(Event, frozen=True):
    """The carrier refuses the booking of a parcel that, by its own report, it has taken."""

    order_id: str
    reason: str


class ShipmentLost(Event, frozen=True):
    """Reported by the carrier; the parcel may be found and delivered later."""

    order_id: str


class ShipmentReturned(Event, frozen=True):
    """The carrier brought the parcel back, undelivered or refused by the customer."""

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
