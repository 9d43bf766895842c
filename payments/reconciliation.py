"""Our word beside the provider's: what the log says has moved for an order, and what the provider's
own book says.

What is under way is left for the next time: the provider may have done what we have not heard of
yet.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from eventstore import log, registry
from eventstore.aggregate import stream_name
from eventstore.log import search
from eventstore.messages import Event
from eventstore.money import Money
from payments.events import (
    LatePaymentCompleted,
    PartRefunded,
    PartRefundLapsed,
    PartRefundRequested,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
    PaymentRequested,
    RefundRequested,
)
from payments.gateway.factory import gateway
from payments.gateway.port import Gateway, MoneyMoved

CALLS = (PaymentRequested, RefundRequested, PartRefundRequested)
ANSWERS = (PaymentCompleted, PaymentFailed, PaymentRefunded, PartRefunded)
TOLD = (LatePaymentCompleted, PaymentRefundedOutside)

GIVEN_BACK = (PaymentRefunded, PartRefunded, PaymentRefundedOutside)

NOTHING = MoneyMoved(Decimal(0), Decimal(0))
# Orders read from the log at once: the provider is asked about each by itself.
BATCH = 200


class Order(NamedTuple):
    """By the log. under_way: whether the provider has been asked for something and has not
    answered."""

    order_id: str
    currency: str
    moved: MoneyMoved
    under_way: bool


class Difference(NamedTuple):
    """theirs: None when the provider gave no answer; error: then."""

    order_id: str
    currency: str
    ours: MoneyMoved
    theirs: MoneyMoved | None
    error: str = ""


def differences(gateway: Gateway, *, since: datetime) -> Iterator[Difference | None]:
    """For each order about whose payment something was recorded since then: None where both say the
    same."""
    order_ids = iter(_orders(since))
    while batch := list(islice(order_ids, BATCH)):
        for order in _by_the_log(batch):
            if order.under_way:
                continue
            found = _difference(gateway, order)
            # It may have moved while we asked; then it is looked at the next time.
            if found is None or _by_the_log([order.order_id]) == [order]:
                yield found


def lost(gateway: Gateway, *, since: datetime) -> Iterator[Difference]:
    """What the provider has taken since then, and not given back, for orders whose payment is not
    in the log at all: it was lost with a part of it. Raises what the gateway raises when its book
    cannot be had."""
    charged = iter(dict.fromkeys(gateway.charged(since=since)))
    while batch := list(islice(charged, BATCH)):
        known = {order.order_id for order in _by_the_log([order_id for order_id, _ in batch])}
        for order_id, currency in batch:
            if order_id not in known:
                found = _difference(gateway, Order(order_id, currency, NOTHING, under_way=False))
                if found is not None and (
                    found.theirs is None or found.theirs.taken != found.theirs.given_back
                ):
                    yield found


def sentence(each: Difference) -> str:
    if each.theirs is None:
        return (
            f"{each.order_id}: lost, no payment of it is in the log, and the provider could not be"
            f" asked: {each.error}"
        )
    return (
        f"{each.order_id}: lost, no payment of it is in the log; the provider has"
        f" {each.theirs.taken} taken and {each.theirs.given_back} given back {each.currency}"
    )


def report_lost(since: datetime) -> Iterator[str]:
    """A sentence for each; for manage.py after_restore."""
    yield from map(sentence, lost(gateway(), since=since))


def _orders(since: datetime) -> Sequence[str]:
    types = [registry.name_of_class(each) for each in (*CALLS, *ANSWERS, *TOLD)]
    recorded = log.read_log(after=search.position_at(since) - 1, types=types)
    return list(dict.fromkeys(message.body.order_id for message in recorded))


def _difference(gateway: Gateway, order: Order) -> Difference | None:
    try:
        theirs = gateway.moved(order_id=order.order_id, currency=order.currency)
    except Exception as error:  # noqa: BLE001  whatever it is, this order could not be compared, and the others can
        return Difference(
            order.order_id, order.currency, order.moved, None, f"{type(error).__name__}: {error}"
        )
    return (
        None
        if theirs == order.moved
        else Difference(order.order_id, order.currency, order.moved, theirs)
    )


def _by_the_log(order_ids: Iterable[str]) -> list[Order]:
    """Without those that cost nothing: nobody was asked."""
    events: dict[str, list[Event]] = {
        stream_name("payment", order_id): [] for order_id in order_ids
    }
    for stream, _, event in log.read_newer(dict.fromkeys(events, 0)):
        events[stream].append(event)
    return [order for each in events.values() if (order := _order(each))]


def _order(events: Sequence[Event]) -> Order | None:
    requested = next((each for each in events if isinstance(each, PaymentRequested)), None)
    if requested is None:
        return None
    taken = [
        each.amount for each in events if isinstance(each, PaymentCompleted | LatePaymentCompleted)
    ]
    given_back = [each.amount for each in events if isinstance(each, GIVEN_BACK)]
    moved = MoneyMoved(_sum(taken), _sum(given_back))
    return Order(requested.order_id, requested.amount.currency, moved, _is_under_way(events))


def _is_under_way(events: Sequence[Event]) -> bool:
    kinds = {type(each) for each in events}
    asked = {each.refund_id for each in events if isinstance(each, PartRefundRequested)}
    ended = {each.refund_id for each in events if isinstance(each, PartRefunded | PartRefundLapsed)}
    if PaymentFailed in kinds and LatePaymentCompleted not in kinds:
        return False  # and nothing will go back, whoever asked for it
    return (
        kinds.isdisjoint((PaymentCompleted, LatePaymentCompleted))
        or (RefundRequested in kinds and PaymentRefunded not in kinds)
        or bool(asked - ended)
    )


def _sum(amounts: Sequence[Money]) -> Decimal:
    return sum((Decimal(each.amount).scaleb(-each.exponent) for each in amounts), Decimal(0))
