"""Our word beside the provider's: what the log says has moved for an order, and what the provider's own book says.

What is under way is left for the next time: the provider may have done what we have not heard of yet.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from eventstore import finding, registry, store
from eventstore.aggregate import stream_name
from eventstore.messages import Event
from eventstore.money import Money

from .events import (
    PartRefunded,
    PartRefundLapsed,
    PartRefundRequested,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRequested,
    RefundRequested,
)
from .gateway.port import Gateway, Moved

CALLS = (PaymentRequested, RefundRequested, PartRefundRequested)
ANSWERS = (PaymentCompleted, PaymentFailed, PaymentRefunded, PartRefunded)


class Order(NamedTuple):
    """By the log. under_way: whether the provider has been asked for something and has not answered."""

    order_id: str
    currency: str
    moved: Moved
    under_way: bool


class Difference(NamedTuple):
    """theirs: None when the provider gave no answer; error: then."""

    order_id: str
    currency: str
    ours: Moved
    theirs: Moved | None
    error: str = ""


def differences(gateway: Gateway, *, since: datetime) -> Iterator[Difference | None]:
    """For each order about whose payment something was recorded since then: None where both say the same."""
    for order_id in _orders(since):
        order = _by_the_log(order_id)
        if order is None or order.under_way:
            continue
        found = _difference(gateway, order)
        # It may have moved while we asked; then it is looked at the next time.
        if found is None or _by_the_log(order_id) == order:
            yield found


def _orders(since: datetime) -> Sequence[str]:
    types = [registry.name_of_class(each) for each in (*CALLS, *ANSWERS)]
    recorded = store.read_log(after=finding.position_at(since) - 1, types=types)
    return list(dict.fromkeys(message.body.order_id for message in recorded))


def _difference(gateway: Gateway, order: Order) -> Difference | None:
    try:
        theirs = gateway.moved(order_id=order.order_id, currency=order.currency)
    except Exception as error:  # noqa: BLE001  whatever it is, this order could not be compared, and the others can
        return Difference(order.order_id, order.currency, order.moved, None, f"{type(error).__name__}: {error}")
    return None if theirs == order.moved else Difference(order.order_id, order.currency, order.moved, theirs)


def _by_the_log(order_id: str) -> Order | None:
    """None for one that costs nothing: nobody was asked."""
    events = [message.body for message in store.read_stream(stream_name("payment", order_id))]
    requested = next((each for each in events if isinstance(each, PaymentRequested)), None)
    if requested is None:
        return None
    taken = [each.amount for each in events if isinstance(each, PaymentCompleted)]
    given_back = [each.amount for each in events if isinstance(each, PaymentRefunded | PartRefunded)]
    return Order(order_id, requested.amount.currency, Moved(_sum(taken), _sum(given_back)), _is_under_way(events))


def _is_under_way(events: Sequence[Event]) -> bool:
    kinds = {type(each) for each in events}
    asked = {each.refund_id for each in events if isinstance(each, PartRefundRequested)}
    ended = {each.refund_id for each in events if isinstance(each, PartRefunded | PartRefundLapsed)}
    if PaymentFailed in kinds:
        return False  # and nothing will go back, whoever asked for it
    return (
        PaymentCompleted not in kinds
        or (RefundRequested in kinds and PaymentRefunded not in kinds)
        or bool(asked - ended)
    )


def _sum(amounts: Sequence[Money]) -> Decimal:
    return sum((Decimal(each.amount).scaleb(-each.exponent) for each in amounts), Decimal(0))
