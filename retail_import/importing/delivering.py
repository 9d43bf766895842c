"""Deliver what the import has issued, beside whatever workers there are, and notice when nothing
moves any more."""

import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from django.db.models import Min, QuerySet

from eventstore import log, registry
from eventstore.delivery import worker
from eventstore.models import Parked, Subscription
from eventstore.outbox import cursors
from eventstore.subscriptions import Projection
from orders.models import OrderDetails, ReturnView

# So many messages may lie ahead of the slowest subscription before the next documents are issued.
AHEAD = 5_000
TURN_SECONDS = 1.0
PAUSE_SECONDS = 0.1
# Longer than a call may take, and than a dead worker's leases last.
PATIENCE_SECONDS = 90.0

FINAL = ("CONFIRMED", "CANCELLED")
SLICE = 5_000


class NothingMoves(Exception):
    """The subscriptions have come to a halt before their work was done."""


def until_subscriptions_are_near(told: Callable[[], None]) -> None:
    _until(lambda: _distance() <= AHEAD, told)


def until_orders_are_final(order_ids: Collection[str], told: Callable[[int], None]) -> None:
    """told: hears how many are open."""
    final = OrderDetails.objects.filter(status__in=FINAL)
    _until_all_are_among(final, order_ids, told)


def until_returns_are_completed(return_ids: Collection[str], told: Callable[[int], None]) -> None:
    """told: hears how many are open."""
    completed = ReturnView.objects.filter(status="COMPLETED")
    _until_all_are_among(completed, return_ids, told)


def until_read_models_are_level() -> None:
    """Up to the last position of this moment; what others write meanwhile is not waited for."""
    now = log.fence()
    behind = {
        name for name, each in registry.subscriptions().items() if isinstance(each, Projection)
    }

    def are_level() -> bool:
        at = dict(
            Subscription.objects.filter(name__in=behind, position__lt=now).values_list(
                "name", "position"
            )
        )
        behind.intersection_update(at.keys() & cursors.work())
        return not behind

    _until(are_level, lambda: None)


def parked() -> list[str]:
    """A line for each message that a subscription could not take, of whatever order."""
    failed = Parked.objects.exclude(error="").order_by("subscription", "position")
    return [
        f"{each.subscription} at {each.position}, {each.key}, {each.status} after {each.attempts}"
        f" tries: {each.error}"
        for each in failed
    ]


def _until(condition: Callable[[], bool], told: Callable[[], None]) -> None:
    if condition():
        return
    since, seen = time.monotonic(), _traces()
    while not condition():
        told()
        if not worker.work(seconds=TURN_SECONDS):
            time.sleep(PAUSE_SECONDS)
        if (now := _traces()) != seen:
            since, seen = time.monotonic(), now
        elif _is_at_rest() or time.monotonic() - since > PATIENCE_SECONDS:
            raise NothingMoves


class Traces(NamedTuple):
    """What changes wherever a subscription moves."""

    positions: dict[str, int]
    parked: int


def _traces() -> Traces:
    return Traces(
        dict(Subscription.objects.values_list("name", "position")), Parked.objects.count()
    )


def _is_at_rest() -> bool:
    """Nothing to do for anybody, now or later."""
    return not cursors.work() and not Parked.objects.filter(due_at__isnull=False).exists()


def _distance() -> int:
    subscriptions = Subscription.objects.filter(name__in=registry.subscriptions(), paused=False)
    slowest = subscriptions.aggregate(position=Min("position"))["position"]
    return log.fence() - int(slowest or 0)


def _until_all_are_among(
    done: QuerySet[Any], keys: Collection[str], told: Callable[[int], None]
) -> None:
    """keys: primary keys of the rows that are waited for."""
    open_ = set(keys)

    def are_done() -> bool:
        asked = list(open_)
        for start in range(0, len(asked), SLICE):
            open_.difference_update(
                done.filter(pk__in=asked[start : start + SLICE]).values_list("pk", flat=True)
            )
        return not open_

    _until(are_done, lambda: told(len(open_)))
