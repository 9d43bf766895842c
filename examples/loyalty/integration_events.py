"""What other systems get of the loyalty program, under the topic events.loyalty."""

from collections.abc import Sequence

from eventstore.messages import Event, IntegrationEvent
from eventstore.subscriptions import Publication

from .account import ACCOUNT
from .events import PointsCredited, PointsWithdrawn


class PointsEarned(IntegrationEvent, frozen=True):
    """balance: of the customer's account, with these points."""

    customer_id: str
    order_id: str
    points: int
    balance: int


class PointsTakenBack(IntegrationEvent, frozen=True):
    """balance: of the customer's account, without these points."""

    customer_id: str
    order_id: str
    points: int
    balance: int


PUBLISHED = {
    "loyalty.points_earned": PointsEarned,
    "loyalty.points_taken_back": PointsTakenBack,
}


def credited(event: PointsCredited, history: Sequence[Event]) -> list[IntegrationEvent]:
    balance = ACCOUNT.fold(history).points
    return [PointsEarned(event.customer_id, event.order_id, event.points, balance)]


def withdrawn(event: PointsWithdrawn, history: Sequence[Event]) -> list[IntegrationEvent]:
    balance = ACCOUNT.fold(history).points
    return [PointsTakenBack(event.customer_id, event.order_id, event.points, balance)]


PUBLICATION = Publication(
    publish={
        PointsCredited: credited,
        PointsWithdrawn: withdrawn,
    },
)
