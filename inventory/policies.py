"""The inventory's part of the process without a conductor: what others announce, and what we do about it.

The classes are ours: of each announcement they name what we need of it, and pass over the rest (a tolerant reader).
"""

from datetime import timedelta
from operator import attrgetter

from eventstore.messages import Announced, CommandRefused, DeadlinePassed, Intervened, State, replace
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


class ShipmentRefused(Announced, frozen=True):
    order_id: str


class ShipmentShipped(Announced, frozen=True):
    order_id: str


class ShipmentCancelled(Announced, frozen=True):
    order_id: str


class Reserving(State, frozen=True):
    """status: noted, asked for, cancelled; or COMPENSATING while a parcel is called back, NEEDS_ATTENTION if it is not.

    lines: of the order, kept until it is paid. parcel: none; packed, since shipping heard of the goods; or left.
    """

    status: str = "new"
    lines: tuple[StockLine, ...] = ()
    parcel: str = "none"


def order_placed(reserving: Reserving, event: OrderPlaced) -> Reaction:
    return Reaction(Reserving("noted", event.lines))


def payment_completed(reserving: Reserving, event: PaymentCompleted) -> Reaction:
    if reserving.status != "noted":
        return Reaction(reserving)
    return Reaction(replace(reserving, status="asked"), [ReserveInventory(event.order_id, reserving.lines)])


def inventory_reserved(reserving: Reserving, event: InventoryReserved) -> Reaction:
    """Shipping hears of it too, and in the same order as we: if before a cancellation, there will be a parcel."""
    if reserving.status != "asked" or not event.lines:
        return Reaction(reserving)
    return Reaction(replace(reserving, parcel="packed"))


def shipment_shipped(reserving: Reserving, event: ShipmentShipped) -> Reaction:
    left = replace(reserving, parcel="left")
    return Reaction(_needing_attention(left) if reserving.status == "COMPENSATING" else left)


def shipment_undone(reserving: Reserving, event: ShipmentRefused | ShipmentCancelled) -> Reaction:
    back = replace(reserving, parcel="none")
    return _release(event.order_id, back) if reserving.status in WAITING else Reaction(back)


def order_cancelled(reserving: Reserving, event: OrderCancelled) -> Reaction:
    """What is in a parcel is not on the shelf before it is called back; what has left is not there at all."""
    if reserving.status != "asked":
        return Reaction(replace(reserving, status="cancelled"))
    match reserving.parcel:
        case "packed":
            return Reaction(replace(reserving, status="COMPENSATING"), deadline=PATIENCE)
        case "left":
            return Reaction(_needing_attention(reserving))
    return _release(event.order_id, reserving)


def deadline_passed(reserving: Reserving, event: DeadlinePassed) -> Reaction:
    return Reaction(_needing_attention(reserving) if reserving.status == "COMPENSATING" else reserving)


def intervened(reserving: Reserving, event: Intervened) -> Reaction:
    """A person has seen to the parcel by other means."""
    if event.action != "skip" or reserving.status not in WAITING:
        return Reaction(reserving, deadline=PATIENCE if reserving.status == "COMPENSATING" else None)
    return _release(event.key, reserving)


def _needing_attention(reserving: Reserving) -> Reserving:
    return replace(reserving, status="NEEDS_ATTENTION")


def _release(order_id: str, reserving: Reserving) -> Reaction:
    return Reaction(replace(reserving, status="cancelled"), [ReleaseInventory(order_id, reserving.lines)])


WAITING = ("COMPENSATING", "NEEDS_ATTENTION")


POLICY = Saga(
    initial=Reserving(),
    key=attrgetter("order_id"),
    react={
        OrderPlaced: order_placed,
        PaymentCompleted: payment_completed,
        InventoryReserved: inventory_reserved,
        ShipmentShipped: shipment_shipped,
        ShipmentRefused: shipment_undone,
        ShipmentCancelled: shipment_undone,
        OrderCancelled: order_cancelled,
        DeadlinePassed: deadline_passed,
        Intervened: intervened,
        CommandRefused: lambda reserving, event: Reaction(reserving),
    },
    contract={
        "orders.order_placed": OrderPlaced,
        "orders.order_cancelled": OrderCancelled,
        "payments.payment_completed": PaymentCompleted,
        "shipping.shipment_refused": ShipmentRefused,
        "shipping.shipment_shipped": ShipmentShipped,
        "shipping.shipment_cancelled": ShipmentCancelled,
    },
)
