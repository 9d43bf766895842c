"""Deliver what the import has issued, beside whatever workers there are, and notice when nothing moves any more."""

import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from django.db.models import Min

from eventstore import log, registry
from eventstore.delivery import worker
from eventstore.models import Parked, Subscription
from eventstore.outbox import cursors
from eventstore.subscriptions import Projection
from orders.models import OrderDetails, ReturnView

# So many messages may lie ahead of the slowest lane before the next documents are issued.
AHEAD = 5_000
TURN_SECONDS = 1.0
PAUSE_SECONDS = 0.1
# Longer than a call may take, and than a dead worker's leases last.
PATIENCE_SECONDS = 90.0

FINAL = ("CONFIRMED", "CANCELLED")
SLICE = 5_000


class NothingMoves(Exception):
    """The lanes have come to a halt before their work was done."""


def until_lanes_are_near(told: Callable[[], None]) -> None:
    _until(lambda: _distance() <= AHEAD, told)


def until_orders_are_final(order_ids: Collection[str], told: Callable[[int], None]) -> None:
    """told: hears how many are open."""
    open_ = set(order_ids)

    def are_final() -> bool:
        open_.difference_update(_final_among(open_))
        return not open_

    _until(are_final, lambda: told(len(open_)))


def until_returns_are_completed(return_ids: Collection[str], told: Callable[[int], None]) -> None:
    """told: hears how many are open."""
    open_ = set(return_ids)

    def are_completed() -> bool:
        open_.difference_update(_completed_among(open_))
        return not open_

    _until(are_completed, lambda: told(len(open_)))


def until_read_models_are_level() -> None:
    """Up to the last position of this moment; what others write meanwhile is not waited for."""
    now = log.fence()
    behind = {name for name, each in registry.subscriptions().items() if isinstance(each, Projection)}

    def are_level() -> bool:
        at = dict(Subscription.objects.filter(name__in=behind, position__lt=now).values_list("name", "position"))
        behind.intersection_update(at.keys() & cursors.work())
        return not behind

    _until(are_level, lambda: None)


def parked() -> list[str]:
    """A line for each message that a lane could not take, of whatever order."""
    failed = Parked.objects.exclude(error="").order_by("subscription", "position")
    return [
        f"{each.subscription} at {each.position}, {each.key}, {each.status} after {each.attempts} tries: {each.error}"
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
    """What changes wherever a lane moves."""

    positions: dict[str, int]
    parked: int


def _traces() -> Traces:
    return Traces(dict(Subscription.objects.values_list("name", "position")), Parked.objects.count())


def _is_at_rest() -> bool:
    """Nothing to do for anybody, now or later."""
    return not cursors.work() and not Parked.objects.filter(due_at__isnull=False).exists()


def _distance() -> int:
    lanes = Subscription.objects.filter(name__in=registry.subscriptions(), paused=False)
    slowest = lanes.aggregate(position=Min("position"))["position"]
    return log.fence() - int(slowest or 0)


def _final_among(order_ids: Collection[str]) -> set[str]:
    ids = list(order_ids)
    return {
        order_id
        for start in range(0, len(ids), SLICE)
        for order_id in OrderDetails.objects.filter(
            order_id__in=ids[start : start + SLICE], status__in=FINAL
        ).values_list("order_id", flat=True)
    }


def _completed_among(return_ids: Collection[str]) -> set[str]:
    ids = list(return_ids)
    return {
        return_id
        for start in range(0, len(ids), SLICE)
        for return_id in ReturnView.objects.filter(
            return_id__in=ids[start : start + SLICE], status="COMPLETED"
        ).values_list("return_id", flat=True)
    }
