"""What a client is told of an order's events: of each type only the fields that are listed here."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any

import msgspec

from eventstore import log, registry
from eventstore.aggregate import stream_name
from eventstore.messages import Event, Message, replace
from eventstore.privacy import personal_data
from inventory.events import InventoryReleased, InventoryReservationFailed, InventoryReserved
from orders.events import (
    GoodsReturned,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefundRequested,
    ReturnClosed,
    ReturnCompleted,
    ReturnContinued,
    ReturnForgone,
    ReturnPromised,
    ReturnRequested,
)
from payments.events import (
    DisputeClosed,
    LatePaymentCompleted,
    PartRefunded,
    PartRefundLapsed,
    PartRefundPromised,
    PartRefundRequested,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
)
from shipping.events import (
    ShipmentCancellationRequested,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentLost,
    ShipmentRefused,
    ShipmentRequested,
    ShipmentReturned,
    ShipmentShipped,
)

# Each context keeps what concerns an order in a stream of its own, under the order's id; a return
# has one of its own, and an id that the order names.
CATEGORIES = ("order", "payment", "reservation", "shipment")


class Entry(msgspec.Struct, frozen=True):
    """position: in the log; what a client goes on behind. version: in the event's own stream, named
    by its category."""

    position: int
    order_id: str
    category: str
    version: int
    type: str
    recorded_at: str
    data: dict[str, Any]


def entry(message: Message) -> Entry:
    """What is told of an event; its class must be one of those in TOLD."""
    return Entry(
        position=message.position,
        order_id=message.body.order_id,
        category=message.category,
        version=message.version,
        type=registry.name_of(message.body),
        recorded_at=message.recorded_at.isoformat().replace("+00:00", "Z"),
        data={field: getattr(message.body, field) for field in PUBLIC_FIELDS[type(message.body)]},
    )


def masked(message: Message) -> Entry:
    """As entry, for whom it is not about: what is personal is hidden."""
    return entry(
        replace(message, body=personal_data.without(message.body))
        if personal_data.holds(type(message.body))
        else message
    )


@cache
def shape(event: type[Event]) -> type[msgspec.Struct]:
    """What is told of an event as a class of its own, with what is said there of its fields."""
    fields = [
        (field.name, ALWAYS_UTC.get(field.type, field.type))
        for field in msgspec.structs.fields(event)
    ]
    told = [field for field in fields if field[0] in PUBLIC_FIELDS[event]]
    return msgspec.defstruct(event.__name__, told, namespace={"__doc__": _said_of(event)})


@cache
def types() -> Sequence[str]:
    """The stored names of all that is told, those of the past included."""
    today = [registry.name_of_class(event) for event in PUBLIC_FIELDS]
    return [*today, *(past for past, now in registry.renamed().items() if now in today)]


def streams(order_ids: Iterable[str]) -> list[str]:
    """All that holds something about these orders. An order's promise of a return comes together
    with the return."""
    own = [stream_name(category, order_id) for order_id in order_ids for category in CATEGORIES]
    promised = log.read_streams(own, types=[registry.name_of_class(ReturnPromised)], limit=None)
    return [*own, *(stream_name("return", promise.body.return_id) for promise in promised)]


def _said_of(event: type[Event]) -> str | None:
    """Its docstring, without the sentences that begin with a field which is not told."""
    sentences = re.split(r"(?<=\.) (?=[a-z_]+: )", event.__doc__ or "")
    untold = tuple(
        f"{field}: " for field in event.__struct_fields__ if field not in PUBLIC_FIELDS[event]
    )
    return " ".join(each for each in sentences if not each.startswith(untold)) or None


ALWAYS_UTC: Mapping[Any, Any] = {datetime: Annotated[datetime, msgspec.Meta(tz=True)]}

# Left out: by what the customer pays, what the gateway calls it, and how much of a product is in
# stock.
PUBLIC_FIELDS: Mapping[type[Event], Sequence[str]] = {
    OrderPlaced: ("customer_id", "lines", "charges", "total", "address", "placed_at", "reference"),
    OrderConfirmed: (),
    OrderCancelled: ("reason",),
    OrderRefundRequested: ("reason",),
    ReturnPromised: ("return_id", "lines", "charges"),
    ReturnForgone: ("return_id", "lines", "charges"),
    ReturnRequested: (
        "return_id",
        "lines",
        "charges",
        "refund",
        "reason",
        "requested_at",
        "reference",
    ),
    GoodsReturned: ("return_id", "lines", "refund", "received_at", "delivery"),
    ReturnContinued: ("return_id", "continued_by", "lines"),
    ReturnCompleted: ("return_id",),
    ReturnClosed: ("return_id", "reason"),
    PaymentRequested: ("amount",),
    PaymentCompleted: ("amount",),
    PaymentFailed: ("reason",),
    LatePaymentCompleted: ("amount",),
    PaymentVoided: ("reason",),
    RefundRequested: ("amount", "reason"),
    PaymentRefunded: ("amount",),
    PartRefundPromised: ("refund_id", "amount", "reason"),
    PartRefundRequested: ("refund_id", "amount", "reason"),
    PartRefunded: ("refund_id", "amount"),
    PartRefundLapsed: ("refund_id", "reason"),
    PaymentRefundedOutside: ("amount",),
    PaymentDisputed: ("amount",),
    DisputeClosed: ("amount", "won"),
    InventoryReserved: ("lines",),
    InventoryReservationFailed: (),
    InventoryReleased: ("lines",),
    ShipmentRequested: ("address",),
    ShipmentCreated: ("tracking",),
    ShipmentRefused: ("reason",),
    ShipmentCancellationRequested: ("reason",),
    ShipmentCancelled: (),
    ShipmentShipped: (),
    ShipmentDelivered: (),
    ShipmentLost: (),
    ShipmentReturned: (),
}
