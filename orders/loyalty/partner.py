"""The answers of the loyalty partner, which is another system: its events, as our own classes."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.messages import Command, IntegrationEvent
from eventstore.messaging.event_bus import Envelope
from eventstore.subscriptions import Consumer, Unprocessable
from orders.commands import RecordLoyaltyPoints, WithdrawLoyaltyPoints
from orders.order.aggregate import ORDER

OrderId = Annotated[str, Meta(pattern=r"^[\w.-]{1,100}$")]


class PointsEarned(IntegrationEvent, frozen=True):
    order_id: OrderId
    points: Annotated[int, Meta(gt=0)]


class PointsTakenBack(IntegrationEvent, frozen=True):
    order_id: OrderId


def points_earned(envelope: Envelope) -> Sequence[Command]:
    _demand_order(envelope.event.order_id)
    return [RecordLoyaltyPoints(envelope.event.order_id, envelope.event.points)]


def points_taken_back(envelope: Envelope) -> Sequence[Command]:
    _demand_order(envelope.event.order_id)
    return [WithdrawLoyaltyPoints(envelope.event.order_id)]


def _demand_order(order_id: str) -> None:
    """Raises Unprocessable. The partner knows an order by its events, so the log has it already."""
    if log.read_last(stream_name(ORDER.category, order_id)) is None:
        raise Unprocessable(f"There is no order {order_id}.")


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
