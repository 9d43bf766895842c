"""What shipping can be asked for."""

from eventstore.messages import Command, Value


class Address(Value, frozen=True):
    """country: ISO 3166 alpha-2, or a name where the source has no more."""

    name: str = ""
    street: str = ""
    city: str = ""
    postcode: str = ""
    country: str = ""


class CreateShipment(Command, frozen=True):
    order_id: str
    address: Address


class CancelShipment(Command, frozen=True):
    """Call it off, or the booking that is under way."""

    order_id: str
    reason: str


class BookShipment(Command, frozen=True):
    """The carrier's answer: it will come. tracking: the carrier's own number."""

    order_id: str
    tracking: str


class RefuseShipment(Command, frozen=True):
    """The carrier's answer: it does not go there."""

    order_id: str
    reason: str


class CompleteCancellation(Command, frozen=True):
    """The carrier's answer: the booking is void."""

    order_id: str


class ShipShipment(Command, frozen=True):
    """The carrier has taken the parcel."""

    order_id: str


class DeliverShipment(Command, frozen=True):
    """The parcel has arrived."""

    order_id: str


class RecordShipped(Command, frozen=True):
    """The carrier tells that it has the parcel, whatever we believe of it."""

    order_id: str


class RecordDelivered(Command, frozen=True):
    """The carrier tells that the parcel has arrived."""

    order_id: str


class RecordLost(Command, frozen=True):
    """The carrier tells that it has lost the parcel."""

    order_id: str


class RecordReturned(Command, frozen=True):
    """The carrier tells that it has brought the parcel back to us."""

    order_id: str


COMMANDS = {
    "shipping.create_shipment": CreateShipment,
    "shipping.cancel_shipment": CancelShipment,
    "shipping.book_shipment": BookShipment,
    "shipping.refuse_shipment": RefuseShipment,
    "shipping.complete_cancellation": CompleteCancellation,
    "shipping.ship_shipment": ShipShipment,
    "shipping.deliver_shipment": DeliverShipment,
    "shipping.record_shipped": RecordShipped,
    "shipping.record_delivered": RecordDelivered,
    "shipping.record_lost": RecordLost,
    "shipping.record_returned": RecordReturned,
}
