"""The payments' part of the process without a conductor: what orders announce, and what we do about it.

The classes are ours: of each announcement they name what we need of it, and pass over the rest (a tolerant reader).
"""

from datetime import timedelta
from operator import attrgetter

from eventstore.messages import Announced, CommandRefused, DeadlinePassed, Intervened, State, replace
from eventstore.money import Money
from eventstore.subscriptions import Reaction, Saga

from .commands import ProcessPayment, RefundPayment
from .events import PaymentCompleted

# For the goods to be back; then a person is called.
PATIENCE = timedelta(hours=1)


class OrderPlaced(Announced, frozen=True):
    order_id: str
    total: Money
    payment_method: str


class OrderCancelled(Announced, frozen=True):
    order_id: str
    reason: str


class InventoryReservationFailed(Announced, frozen=True):
    order_id: str


class InventoryReleased(Announced, frozen=True):
    order_id: str


class Paying(State, frozen=True):
    """status: asked for, cancelled; or COMPENSATING while the goods are not back, NEEDS_ATTENTION if they do not come.

    goods: whether they are being reserved, as they are for whoever has paid. reason: of the cancellation.
    """

    status: str = "new"
    goods: bool = False
    reason: str = ""


def order_placed(paying: Paying, event: OrderPlaced) -> Reaction:
    return Reaction(Paying("asked"), [ProcessPayment(event.order_id, event.total, event.payment_method)])


def payment_completed(paying: Paying, event: PaymentCompleted) -> Reaction:
    """The inventory hears of it too, and in the same order as we: if before a cancellation, it reserves."""
    return Reaction(replace(paying, goods=True) if paying.status == "asked" else paying)


def goods_undone(paying: Paying, event: InventoryReservationFailed | InventoryReleased) -> Reaction:
    back = replace(paying, goods=False)
    return _refund(event.order_id, back) if paying.status in WAITING else Reaction(back)


def order_cancelled(paying: Paying, event: OrderCancelled) -> Reaction:
    """The last step first, as a conductor would: what has not come back is not paid back."""
    cancelled = replace(paying, reason=event.reason)
    if paying.goods:
        return Reaction(replace(cancelled, status="COMPENSATING"), deadline=PATIENCE)
    return _refund(event.order_id, cancelled)


def deadline_passed(paying: Paying, event: DeadlinePassed) -> Reaction:
    return Reaction(replace(paying, status="NEEDS_ATTENTION") if paying.status == "COMPENSATING" else paying)


def intervened(paying: Paying, event: Intervened) -> Reaction:
    """A person has seen to the goods by other means."""
    if event.action != "skip" or paying.status not in WAITING:
        return Reaction(paying, deadline=PATIENCE if paying.status == "COMPENSATING" else None)
    return _refund(event.key, paying)


def _refund(order_id: str, paying: Paying) -> Reaction:
    return Reaction(replace(paying, status="cancelled"), [RefundPayment(order_id, paying.reason)])


WAITING = ("COMPENSATING", "NEEDS_ATTENTION")


POLICY = Saga(
    initial=Paying(),
    key=attrgetter("order_id"),
    react={
        OrderPlaced: order_placed,
        PaymentCompleted: payment_completed,
        InventoryReservationFailed: goods_undone,
        InventoryReleased: goods_undone,
        OrderCancelled: order_cancelled,
        DeadlinePassed: deadline_passed,
        Intervened: intervened,
        CommandRefused: lambda paying, event: Reaction(paying),
    },
    contract={
        "orders.order_placed": OrderPlaced,
        "orders.order_cancelled": OrderCancelled,
        "inventory.inventory_reservation_failed": InventoryReservationFailed,
        "inventory.inventory_released": InventoryReleased,
    },
)
