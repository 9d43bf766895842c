"""Compare the log with the provider's book: the money moved for each order.

Orders with a call under way are left for the next run: the provider may have done what the log does
not have yet.
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
NOTICES = (LatePaymentCompleted, PaymentRefundedOutside)

TAKEN = (PaymentCompleted, LatePaymentCompleted)
GIVEN_BACK = (PaymentRefunded, PartRefunded, PaymentRefundedOutside)

NOTHING = MoneyMoved(Decimal(0), Decimal(0))
# Orders read from the log at once. The provider is asked about each order separately.
BATCH = 200


class Order(NamedTuple):
    """An order by the log. under_way: whether a call to the provider has no answer yet."""

    order_id: str
    currency: str
    moved: MoneyMoved
    under_way: bool


class Difference(NamedTuple):
    """theirs: None if the provider did not answer; then error says why."""

    order_id: str
    currency: str
    ours: MoneyMoved
    theirs: MoneyMoved | None
    error: str = ""


def differences(gateway: Gateway, *, since: datetime) -> Iterator[Difference | None]:
    """One item for each order with an event of its payment since then: None where log and provider
    agree."""
    types = [registry.name_of_class(each) for each in (*CALLS, *ANSWERS, *NOTICES)]
    recorded = log.read_log(after=search.position_at(since) - 1, types=types)
    order_ids = iter(dict.fromkeys(message.body.order_id for message in recorded))
    while batch := list(islice(order_ids, BATCH)):
        for order in _by_the_log(batch):
            if order.under_way:
                continue
            found = _difference(gateway, order)
            # An order that changed during the comparison is left for the next run.
            if found is None or _by_the_log([order.order_id]) == [order]:
                yield found


def lost(gateway: Gateway, *, since: datetime) -> Iterator[Difference]:
    """Charges since then, not refunded, of orders without a payment in the log: a part of the log
    was lost. Raises what the gateway raises if its book cannot be read."""
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


def describe(found: Difference) -> str:
    taken, given_back = found.ours
    ours = f"{found.order_id}: the log has {taken} charged and {given_back} refunded"
    if found.theirs is None:
        return f"{ours}; the provider did not answer: {found.error}"
    theirs = f"{found.theirs.taken} and {found.theirs.given_back} {found.currency}"
    return f"{ours}, the provider {theirs}"


def describe_lost(lost: Difference) -> str:
    if lost.theirs is None:
        return (
            f"{lost.order_id}: lost, the log has no payment of it; the provider did not answer:"
            f" {lost.error}"
        )
    return (
        f"{lost.order_id}: lost, the log has no payment of it; the provider has"
        f" {lost.theirs.taken} charged and {lost.theirs.given_back} refunded {lost.currency}"
    )


def report_lost(since: datetime) -> Iterator[str]:
    """One line for each lost payment, for manage.py after_restore."""
    yield from map(describe_lost, lost(gateway(), since=since))


def _difference(gateway: Gateway, order: Order) -> Difference | None:
    try:
        theirs = gateway.moved(order_id=order.order_id, currency=order.currency)
    except Exception as error:  # noqa: BLE001  report it for this order, and compare the others
        return Difference(
            order.order_id, order.currency, order.moved, None, f"{type(error).__name__}: {error}"
        )
    return (
        None
        if theirs == order.moved
        else Difference(order.order_id, order.currency, order.moved, theirs)
    )


def _by_the_log(order_ids: Iterable[str]) -> list[Order]:
    """Orders that cost nothing are left out: they call no provider."""
    events: dict[str, list[Event]] = {
        stream_name("payment", order_id): [] for order_id in order_ids
    }
    for stream, _, event in log.read_newer(dict.fromkeys(events, 0)):
        events[stream].append(event)
    orders = []
    for own in events.values():
        if requested := next((each for each in own if isinstance(each, PaymentRequested)), None):
            taken = _sum([each.amount for each in own if isinstance(each, TAKEN)])
            given_back = _sum([each.amount for each in own if isinstance(each, GIVEN_BACK)])
            order_id, currency = requested.order_id, requested.amount.currency
            moved = MoneyMoved(taken, given_back)
            orders.append(Order(order_id, currency, moved, _is_under_way(own)))
    return orders


def _is_under_way(events: Sequence[Event]) -> bool:
    kinds = {type(each) for each in events}
    requested = {each.refund_id for each in events if isinstance(each, PartRefundRequested)}
    ended = {each.refund_id for each in events if isinstance(each, PartRefunded | PartRefundLapsed)}
    if PaymentFailed in kinds and LatePaymentCompleted not in kinds:
        return False  # a failed payment is not refunded
    return (
        kinds.isdisjoint((PaymentCompleted, LatePaymentCompleted))
        or (RefundRequested in kinds and PaymentRefunded not in kinds)
        or bool(requested - ended)
    )


def _sum(amounts: Sequence[Money]) -> Decimal:
    return sum((Decimal(each.amount).scaleb(-each.exponent) for each in amounts), Decimal(0))
