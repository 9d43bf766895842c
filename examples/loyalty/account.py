"""The account of a customer: a point for each whole unit of money, once for each order."""

from eventstore.aggregate import Aggregate
from eventstore.messages import Event, State

from .commands import CreditOrder, TakeBackOrder
from .events import PointsCredited, PointsWithdrawn


class Account(State, frozen=True):
    """orders: the points of each order; 0 if they were taken back."""

    orders: dict[str, int] = {}

    @property
    def points(self) -> int:
        return sum(self.orders.values())


def credit(account: Account, command: CreditOrder) -> list[Event]:
    points = command.total.amount // 10**command.total.exponent
    if command.order_id in account.orders or points <= 0:
        return []
    return [PointsCredited(command.customer_id, command.order_id, points)]


def take_back(account: Account, command: TakeBackOrder) -> list[Event]:
    points = account.orders.get(command.order_id, 0)
    return [PointsWithdrawn(command.customer_id, command.order_id, points)] if points else []


def credited(account: Account, event: PointsCredited) -> Account:
    return Account(account.orders | {event.order_id: event.points})


def withdrawn(account: Account, event: PointsWithdrawn) -> Account:
    return Account(account.orders | {event.order_id: 0})


ACCOUNT = Aggregate(
    category="account",
    identity="customer_id",
    initial=Account(),
    decide={
        CreditOrder: credit,
        TakeBackOrder: take_back,
    },
    evolve={
        PointsCredited: credited,
        PointsWithdrawn: withdrawn,
    },
)
