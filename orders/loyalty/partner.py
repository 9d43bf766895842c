"""The answers of the loyalty partner, which is another system: its events, as our own classes."""

from collections.abc import Sequence

from eventstore.messages import Command, IntegrationEvent
from eventstore.messaging.event_bus import Envelope
from eventstore.subscriptions import Consumer
from orders.commands import RecordLoyaltyPoints, WithdrawLoyaltyPoints


class PointsEarned(IntegrationEvent, frozen=True):
    order_id: str
    points: int


class PointsTakenBack(IntegrationEvent, frozen=True):
    order_id: str


def points_earned(envelope: Envelope) -> Sequence[Command]:
    return [RecordLoyaltyPoints(envelope.event.order_id, envelope.event.points)]


def points_taken_back(envelope: Envelope) -> Sequence[Command]:
    return [WithdrawLoyaltyPoints(envelope.event.order_id)]


def read_from(broker: str) -> Consumer:
    return Consumer(
        broker,
        topics=["events.loyalty"],
        handle={
            "loyalty.points_earned": points_earned,
            "loyalty.points_taken_back": points_taken_back,
        },
        contract={
            "loyalty.points_earned": PointsEarned,
            "loyalty.points_taken_back": PointsTakenBack,
        },
    )
