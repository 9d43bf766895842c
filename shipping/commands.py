"""The commands of shipping."""

from eventstore.messages import Command, Value


class Address(Value, frozen=True):
    """country: ISO 3166 alpha-2, or a name where the source has no code."""

    name: str = ""
    street: str = ""
    city: str = ""
    postcode: str = ""
    country: str = ""


class CreateShipment(Command, frozen=True):
    """elsewhere: the parcel was sent outside this platform; the carrier is not called for it."""

    order_id: str
    address: Address
    elsewhere: bool = False


class CancelShipment(Command, frozen=True):
    """Cancel the parcel, also one whose booking is under way."""

    order_id: str
    reason: str


class BookShipment(Command, frozen=True):
    """The carrier's answer: booked. tracking: the carrier's tracking number."""

    order_id: str
    tracking: str


class RefuseShipment(Command, frozen=True):
    """The carrier's answer: it does not serve the address."""

    order_id: str
    reason: str


class CompleteCancellation(Command, frozen=True):
    """The carrier's answer: the booking is cancelled."""

    order_id: str


class ShipShipment(Command, frozen=True):
    """The warehouse hands the parcel to the carrier."""

    order_id: str


class DeliverShipment(Command, frozen=True):
    """The parcel has reached the customer."""

    order_id: str


class RecordShipped(Command, frozen=True):
    """The carrier reports that it has the parcel; recorded in any status."""

    order_id: str


class RecordDelivered(Command, frozen=True):
    """The carrier reports that the parcel was delivered."""

    order_id: str


class RecordLost(Command, frozen=True):
    """The carrier reports that the parcel is lost."""

    order_id: str


class RecordReturned(Command, frozen=True):
    """The carrier reports that it has brought the parcel back to us."""

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
