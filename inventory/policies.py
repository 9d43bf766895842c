"""Inventory's part of the choreographed process: reserve the goods of a paid order, release those
of an undone one."""

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

# How long to wait for the recall of a parcel; then the process needs attention.
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
    """status: new, noted (placed, not paid yet), asked, cancelled, or kept (refunded, the customer
    keeps the goods); COMPENSATING while a parcel is recalled, NEEDS_ATTENTION if that fails.

    lines: of the order. parcel: none; packed, from the reservation on; left or lost.
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
    """Shipping sees the same events in the same order: if it sees the reservation before a
    cancellation, it requests a parcel."""
    if reserving.status != "asked" or not event.lines:
        return Reaction(reserving)
    return Reaction(replace(reserving, parcel="packed"))


def shipment_shipped(reserving: Reserving, event: ShipmentShipped) -> Reaction:
    left = replace(reserving, parcel="left")
    return Reaction(_halt(left) if reserving.status == "COMPENSATING" else left)


def shipment_delivered(reserving: Reserving, event: ShipmentDelivered) -> Reaction:
    """An operator had counted the parcel as back (skip), and it was delivered all the same."""
    if reserving.status == "cancelled" and reserving.parcel == "left":
        return attention.call(Reaction(reserving), "the parcel of a cancelled order was delivered")
    return _wait(reserving)


def shipment_lost(reserving: Reserving, event: ShipmentLost) -> Reaction:
    """Lost goods are not put back into stock."""
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
    """Packed goods are released once their parcel is recalled. Goods that have left cannot be
    released."""
    if reserving.status != "asked":
        return Reaction(replace(reserving, status="cancelled"))
    match reserving.parcel:
        case "packed":
            return Reaction(replace(reserving, status="COMPENSATING"), deadline=PATIENCE)
        case "left":
            return Reaction(_halt(reserving))
    return _release(event.order_id, reserving)


def order_refund_requested(reserving: Reserving, event: OrderRefundRequested) -> Reaction:
    """As for a cancelled order, but the customer keeps goods that have left. Goods that came back
    by
    a return are in stock already."""
    if not event.recalled or reserving.parcel in ("left", "lost"):
        return Reaction(replace(reserving, status="kept"))
    if reserving.parcel == "packed":
        return Reaction(replace(reserving, status="COMPENSATING"), deadline=PATIENCE)
    return _release(event.order_id, reserving)


def deadline_passed(reserving: Reserving, event: DeadlinePassed) -> Reaction:
    return Reaction(_halt(reserving) if reserving.status == "COMPENSATING" else reserving)


def intervened(reserving: Reserving, event: Intervened) -> Reaction:
    """An operator has dealt with the parcel by other means (skip)."""
    if event.action != "skip" or reserving.status not in WAITING:
        return _wait(reserving)
    return _release(event.key, reserving)


def _wait(reserving: Reserving) -> Reaction:
    return Reaction(reserving, deadline=PATIENCE if reserving.status == "COMPENSATING" else None)


def _halt(reserving: Reserving) -> Reserving:
    return replace(reserving, status=attention.NEEDS_ATTENTION)


def _release(order_id: str, reserving: Reserving) -> Reaction:
    return Reaction(
        replace(reserving, status="cancelled"), [ReleaseInventory(order_id, reserving.lines)]
    )


WAITING = ("COMPENSATING", attention.NEEDS_ATTENTION)

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
    react=attention.watched(REACT, _wait),
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
