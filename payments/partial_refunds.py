"""Partial refunds of a payment: what is left to refund, and what becomes of promised parts."""

from collections.abc import Iterable, Sequence

from eventstore.messages import Event, State
from eventstore.money import Money
from payments.commands import ELSEWHERE
from payments.events import (
    PartRefunded,
    PartRefundLapsed,
    PartRefundRequested,
    PaymentCompleted,
)


class Part(State, frozen=True):
    """status: promised, requested, refunded or lapsed."""

    refund_id: str
    amount: Money
    reason: str
    status: str


def left(amount: Money, parts: Iterable[Part]) -> int:
    """What is left of the amount, in its own unit."""
    return amount.amount - sum(part.amount.amount for part in parts if part.status != "lapsed")


def is_within(part: Money, left: int, paid: Money) -> bool:
    """Whether the part has the currency and unit of the payment, and is not more than what is
    left."""
    return part == paid.of(part.amount) and part.amount <= left


def fall_due(parts: Iterable[Part], paid: PaymentCompleted) -> Sequence[Event]:
    """The charge completed: request the promised parts, in order, as far as the payment covers
    them. The others lapse. Those of a payment made elsewhere were given back there."""
    events: list[Event] = []
    order_id, left = paid.order_id, paid.amount.amount
    for part in _promised(parts):
        if is_within(part.amount, left, paid.amount):
            events.append(
                PartRefunded(order_id, part.refund_id, part.amount, ELSEWHERE)
                if paid.reference == ELSEWHERE
                else PartRefundRequested(order_id, part.refund_id, part.amount, part.reason)
            )
            left -= part.amount.amount
        else:
            events.append(
                PartRefundLapsed(order_id, part.refund_id, f"no more than {paid.amount} was paid")
            )
    return events


def lapse(parts: Iterable[Part], order_id: str, reason: str) -> Sequence[Event]:
    """The promised parts are not refunded."""
    return [PartRefundLapsed(order_id, part.refund_id, reason) for part in _promised(parts)]


def _promised(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if part.status == "promised"]
