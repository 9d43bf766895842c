"""The public form of an order's events: an allow-list of types and of their fields."""

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

# The streams named by an order's id. A return has an id of its own, which the order's stream names.
CATEGORIES = ("order", "payment", "reservation", "shipment")


class Entry(msgspec.Struct, frozen=True):
    """position: in the log; a client continues after it. version: in the stream of the category."""

    position: int
    order_id: str
    category: str
    version: int
    type: str
    recorded_at: str
    data: dict[str, Any]


def entry(message: Message) -> Entry:
    """The public form of an event. Its class must be in PUBLIC_FIELDS."""
    cls: type[Event] = type(message.body)
    return Entry(
        position=message.position,
        order_id=message.body.order_id,
        category=message.category,
        version=message.version,
        type=registry.name_of_class(cls),
        recorded_at=message.recorded_at.isoformat().replace("+00:00", "Z"),
        data={field: getattr(message.body, field) for field in PUBLIC_FIELDS[cls]},
    )


def masked(message: Message) -> Entry:
    """As entry, for staff: personal data is hidden."""
    return entry(
        replace(message, body=personal_data.without(message.body))
        if personal_data.holds(type(message.body))
        else message
    )


@cache
def shape(event: type[Event]) -> type[msgspec.Struct]:
    """The public fields of an event as a class of its own, documented as they are there."""
    fields = [
        (field.name, ALWAYS_UTC.get(field.type, field.type))
        for field in msgspec.structs.fields(event)
        if field.name in PUBLIC_FIELDS[event]
    ]
    # The docstring without the sentences about fields that are not public.
    hidden = tuple(
        f"{field}: " for field in event.__struct_fields__ if field not in PUBLIC_FIELDS[event]
    )
    about = re.split(r"(?<=\.) (?=[a-z_]+: )", " ".join((event.__doc__ or "").split()))
    public = " ".join(each for each in about if not each.startswith(hidden)) or None
    return msgspec.defstruct(event.__name__, fields, namespace={"__doc__": public})


@cache
def types() -> Sequence[str]:
    """The stored names of all public events, former names included."""
    names = [registry.name_of_class(event) for event in PUBLIC_FIELDS]
    return [*names, *(former for former, name in registry.renamed().items() if name in names)]


def streams(order_ids: Iterable[str]) -> list[str]:
    """All streams about these orders. ReturnPromised is appended together with the return's first
    event, so no stream of a return is missed."""
    own = [stream_name(category, order_id) for order_id in order_ids for category in CATEGORIES]
    promised = log.read_streams(own, types=[registry.name_of_class(ReturnPromised)], limit=None)
    return [*own, *(stream_name("return", promise.body.return_id) for promise in promised)]


ALWAYS_UTC: Mapping[Any, Any] = {datetime: Annotated[datetime, msgspec.Meta(tz=True)]}

# Left out: the payment method, the gateway's ids, and the stock of a product.
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
