"""The inventory's part of the process without a conductor: what others announce, and what we do about it.

The classes are ours: of each announcement they name what we need of it, and pass over the rest (a tolerant reader).
"""

from operator import attrgetter

from eventstore.messages import Announced, CommandRefused, State, replace
from eventstore.subscriptions import Reaction, Saga

from .commands import ReleaseInventory, ReserveInventory, StockLine


class OrderPlaced(Announced, frozen=True):
    order_id: str
    lines: tuple[StockLine, ...]


class PaymentCompleted(Announced, frozen=True):
    order_id: str


class OrderCancelled(Announced, frozen=True):
    order_id: str


class Reserving(State, frozen=True):
    """status: noted, asked for, or cancelled. lines: of the order, kept until it is paid."""

    status: str = "new"
    lines: tuple[StockLine, ...] = ()


def order_placed(reserving: Reserving, event: OrderPlaced) -> Reaction:
    return Reaction(Reserving("noted", event.lines))


def payment_completed(reserving: Reserving, event: PaymentCompleted) -> Reaction:
    if reserving.status != "noted":
        return Reaction(reserving)
    return Reaction(replace(reserving, status="asked"), [ReserveInventory(event.order_id, reserving.lines)])


def order_cancelled(reserving: Reserving, event: OrderCancelled) -> Reaction:
    cancelled = replace(reserving, status="cancelled")
    if reserving.status != "asked":
        return Reaction(cancelled)
    return Reaction(cancelled, [ReleaseInventory(event.order_id, reserving.lines)])


POLICY = Saga(
    initial=Reserving(),
    key=attrgetter("order_id"),
    react={
        OrderPlaced: order_placed,
        PaymentCompleted: payment_completed,
        OrderCancelled: order_cancelled,
        CommandRefused: lambda reserving, event: Reaction(reserving),
    },
    contract={
        "orders.order_placed": OrderPlaced,
        "orders.order_cancelled": OrderCancelled,
        "payments.payment_completed": PaymentCompleted,
    },
)
