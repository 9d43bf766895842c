"""The inventory's part of the process without a conductor: what others announce, and what we do
about it.

The classes are ours: of each announcement they name what we need of it, and pass over the rest (a
tolerant reader).
"""

from datetime import timedelta
from operator import attrgetter

from eventstore.messages import (
    Announced,
    CommandRefused,
    DeadlinePassed,
    Event,
    Intervened,
    replace,
)
from eventstore.sagas import attention
from eventstore.sagas.attention import Attentive
from eventstore.subscriptions import Reaction, Saga

from .commands import ReleaseInventory, ReserveInventory, StockLine
from .events import InventoryReserved

# For a parcel to be called back; then a person is called.
PATIENCE = timedelta(hours=1)


class OrderPlaced(Announced, frozen=True):
    order_id: str
    lines: tuple[StockLine, ...]


class PaymentCompleted(Announced, frozen=True):
    order_id: str


class OrderCancelled(Announced, frozen=True):
    order_id: str


class OrderRefundRequested(Announced, frozen=True):
    order_id: str
    recalled: bool


class ShipmentRefused(Announced, frozen=True):
    order_id: str


class ShipmentShipped(Announced, frozen=True):
    order_id: str


class ShipmentDelivered(Announced, frozen=True):
    order_id: str


class ShipmentLost(Announced, frozen=True):
    order_id: str


class ShipmentReturned(Announced, frozen=True):
    order_id: str


class ShipmentCancelled(Announced, frozen=True):
    order_id: str


class Reserving(Attentive, frozen=True):
    """status: noted, asked for, cancelled, or kept by a customer whose money goes back;
    COMPENSATING while a parcel is called back, NEEDS_ATTENTION if it is not.

    lines: of the order, kept until it is paid. parcel: none; packed, since shipping heard of the
    goods; left or lost.
    """

    lines: tuple[StockLine, ...] = ()
    parcel: str = "none"


def order_placed(reserving: Reserving, event: OrderPlaced) -> Reaction:
    return Reaction(Reserving(status="noted", lines=event.lines))


def payment_completed(reserving: Reserving, event: PaymentCompleted) -> Reaction:
    if reserving.status != "noted":
        return Reaction(reserving)
    return Reaction(
        replace(reserving, status="asked"), [ReserveInventory(event.order_id, reserving.lines)]
    )


def inventory_reserved(reserving: Reserving, event: InventoryReserved) -> Reaction:
    """Shipping hears of it too, and in the same order as we: if before a cancellation, there will
    be a parcel."""
    if reserving.status != "asked" or not event.lines:
        return Reaction(reserving)
    return Reaction(replace(reserving, parcel="packed"))


def shipment_shipped(reserving: Reserving, event: ShipmentShipped) -> Reaction:
    left = replace(reserving, parcel="left")
    return Reaction(_needing_attention(left) if reserving.status == "COMPENSATING" else left)


def shipment_delivered(reserving: Reserving, event: ShipmentDelivered) -> Reaction:
    """A person had seen to it that it would come back, and it has not."""
    if reserving.status == "cancelled" and reserving.parcel == "left":
        return attention.call(Reaction(reserving), "the parcel of a cancelled order was delivered")
    return _waiting(reserving)


def shipment_lost(reserving: Reserving, event: ShipmentLost) -> Reaction:
    """Goods that are lost do not go back on the shelf."""
    status = "cancelled" if reserving.status in WAITING else reserving.status
    return Reaction(replace(reserving, status=status, parcel="lost"))


def shipment_undone(
    reserving: Reserving, event: ShipmentRefused | ShipmentCancelled | ShipmentReturned
) -> Reaction:
    back = replace(reserving, parcel="none")
    if reserving.status == "kept" and isinstance(event, ShipmentReturned):
        return attention.call(
            Reaction(back), "the carrier brought the parcel of a refunded order back"
        )
    return _release(event.order_id, back) if reserving.status in WAITING else Reaction(back)


def order_cancelled(reserving: Reserving, event: OrderCancelled) -> Reaction:
    """What is in a parcel is not on the shelf before it is called back; what has left is not there
    at all."""
    if reserving.status != "asked":
        return Reaction(replace(reserving, status="cancelled"))
    match reserving.parcel:
        case "packed":
            return Reaction(replace(reserving, status="COMPENSATING"), deadline=PATIENCE)
        case "left":
            return Reaction(_needing_attention(reserving))
    return _release(event.order_id, reserving)


def order_refund_requested(reserving: Reserving, event: OrderRefundRequested) -> Reaction:
    """As for a cancelled order; but what has left is the customer's to keep, and what came back was
    put back."""
    if not event.recalled or reserving.parcel in ("left", "lost"):
        return Reaction(replace(reserving, status="kept"))
    if reserving.parcel == "packed":
        return Reaction(replace(reserving, status="COMPENSATING"), deadline=PATIENCE)
    return _release(event.order_id, reserving)


def deadline_passed(reserving: Reserving, event: DeadlinePassed) -> Reaction:
    return Reaction(
        _needing_attention(reserving) if reserving.status == "COMPENSATING" else reserving
    )


def intervened(reserving: Reserving, event: Intervened) -> Reaction:
    """A person has seen to the parcel by other means."""
    if event.action != "skip" or reserving.status not in WAITING:
        return _waiting(reserving)
    return _release(event.key, reserving)


def _waiting(reserving: Reserving) -> Reaction:
    return Reaction(reserving, deadline=PATIENCE if reserving.status == "COMPENSATING" else None)


def _needing_attention(reserving: Reserving) -> Reserving:
    return replace(reserving, status="NEEDS_ATTENTION")


def _release(order_id: str, reserving: Reserving) -> Reaction:
    return Reaction(
        replace(reserving, status="cancelled"), [ReleaseInventory(order_id, reserving.lines)]
    )


WAITING = ("COMPENSATING", "NEEDS_ATTENTION")

REACT: dict[type[Event], attention.React] = {
    OrderPlaced: order_placed,
    PaymentCompleted: payment_completed,
    InventoryReserved: inventory_reserved,
    ShipmentShipped: shipment_shipped,
    ShipmentDelivered: shipment_delivered,
    ShipmentLost: shipment_lost,
    ShipmentReturned: shipment_undone,
    ShipmentRefused: shipment_undone,
    ShipmentCancelled: shipment_undone,
    OrderCancelled: order_cancelled,
    OrderRefundRequested: order_refund_requested,
    DeadlinePassed: deadline_passed,
    Intervened: intervened,
    CommandRefused: lambda reserving, event: Reaction(reserving),
}

POLICY = Saga(
    initial=Reserving(),
    key=attrgetter("order_id"),
    react=attention.watched(REACT, _waiting),
    contract={
        "orders.order_placed": OrderPlaced,
        "orders.order_cancelled": OrderCancelled,
        "orders.order_refund_requested": OrderRefundRequested,
        "payments.payment_completed": PaymentCompleted,
        "shipping.shipment_refused": ShipmentRefused,
        "shipping.shipment_shipped": ShipmentShipped,
        "shipping.shipment_delivered": ShipmentDelivered,
        "shipping.shipment_lost": ShipmentLost,
        "shipping.shipment_returned": ShipmentReturned,
        "shipping.shipment_cancelled": ShipmentCancelled,
    },
)
