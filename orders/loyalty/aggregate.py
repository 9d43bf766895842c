"""The loyalty points of an order, as the partner has answered: earned once, taken back at most
once."""

from eventstore.aggregate import Aggregate
from eventstore.messages import Event, State
from orders.commands import RecordLoyaltyPoints, WithdrawLoyaltyPoints
from orders.events import LoyaltyPointsEarned, LoyaltyPointsTakenBack


class Loyalty(State, frozen=True):
    """status: new, earned or taken back."""

    status: str = "new"
    points: int = 0


def record(loyalty: Loyalty, command: RecordLoyaltyPoints) -> list[Event]:
    if loyalty.status != "new":
        return []
    return [LoyaltyPointsEarned(command.order_id, command.points)]


def withdraw(loyalty: Loyalty, command: WithdrawLoyaltyPoints) -> list[Event]:
    if loyalty.status != "earned":
        return []
    return [LoyaltyPointsTakenBack(command.order_id, loyalty.points)]


LOYALTY = Aggregate(
    category="loyalty",
    identity="order_id",
    initial=Loyalty(),
    decide={
        RecordLoyaltyPoints: record,
        WithdrawLoyaltyPoints: withdraw,
    },
    evolve={
        LoyaltyPointsEarned: lambda loyalty, event: Loyalty("earned", event.points),
        LoyaltyPointsTakenBack: lambda loyalty, event: Loyalty("taken back"),
    },
)
