"""The payments' part of the process without a conductor: what orders announce, and what we do about it.

The classes are ours: of each announcement they name what we need of it, and pass over the rest (a tolerant reader).
"""

from operator import attrgetter

from eventstore.messages import Announced, CommandRefused, State
from eventstore.money import Money
from eventstore.subscriptions import Reaction, Saga

from .commands import ProcessPayment, RefundPayment


class OrderPlaced(Announced, frozen=True):
    order_id: str
    total: Money
    payment_method: str


class OrderCancelled(Announced, frozen=True):
    order_id: str
    reason: str


class Paying(State, frozen=True):
    status: str = "new"


def order_placed(paying: Paying, event: OrderPlaced) -> Reaction:
    return Reaction(Paying("asked"), [ProcessPayment(event.order_id, event.total, event.payment_method)])


def order_cancelled(paying: Paying, event: OrderCancelled) -> Reaction:
    return Reaction(Paying("cancelled"), [RefundPayment(event.order_id, event.reason)])


POLICY = Saga(
    initial=Paying(),
    key=attrgetter("order_id"),
    react={
        OrderPlaced: order_placed,
        OrderCancelled: order_cancelled,
        CommandRefused: lambda paying, event: Reaction(paying),
    },
    contract={
        "orders.order_placed": OrderPlaced,
        "orders.order_cancelled": OrderCancelled,
    },
)
