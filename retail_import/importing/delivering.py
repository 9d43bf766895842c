"""Deliver the messages of the import, together with any running workers, and detect a
standstill."""

import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from django.db.models import Min, QuerySet

from eventstore import log, registry
from eventstore.delivery import worker
from eventstore.models import Parked, Subscription
from eventstore.outbox import cursors
from eventstore.subscriptions import Commands, Projection
from orders.models import OrderDetails, ReturnView

from ..earlier_orders import slices

# The slowest subscription may lag by this many messages before the next documents are issued.
AHEAD = 5_000
TURN_SECONDS = 1.0
PAUSE_SECONDS = 0.1
# Longer than an outside call, and longer than the lease of a dead worker.
PATIENCE_SECONDS = 90.0

FINAL = ("CONFIRMED", "CANCELLED")
SLICE = 5_000


class NothingMoves(Exception):
    """The subscriptions have stopped before their work was done."""


def until_subscriptions_are_near(report: Callable[[], None]) -> None:
    def are_near() -> bool:
        running = Subscription.objects.filter(name__in=registry.subscriptions(), paused=False)
        slowest = running.aggregate(position=Min("position"))["position"]
        return log.fence() - int(slowest or 0) <= AHEAD

    _until(are_near, report)


def until_orders_are_final(order_ids: Collection[str], report: Callable[[int], None]) -> None:
    """report: called with the number of open orders."""
    final = OrderDetails.objects.filter(status__in=FINAL)
    _until_all_are_among(final, order_ids, report)


def until_returns_are_completed(notes: Collection[str], report: Callable[[int], None]) -> None:
    """notes: credit notes. report: called with the number of open returns."""
    returns = ReturnView.objects.exclude(status="COMPLETED")
    return_ids = [
        each
        for some in slices(list(notes))
        for each in returns.filter(reference__in=some).values_list("return_id", flat=True)
    ]
    completed = ReturnView.objects.filter(status="COMPLETED")
    _until_all_are_among(completed, return_ids, report)


def until_earlier_imports_are_done(report: Callable[[int], None]) -> None:
    """An import that was interrupted may have left orders under way."""
    until_level(Commands)
    until_level(Projection)
    under_way = OrderDetails.objects.filter(status="PLACED").exclude(reference="")
    until_orders_are_final(list(under_way.values_list("order_id", flat=True)), report)
    until_level(Commands)
    until_level(Projection)


def are_read_models_level() -> bool:
    return not cursors.work() & set(registry.of_kind(Projection))


def until_level(kind: type[Commands] | type[Projection]) -> None:
    """Wait until all subscriptions of the kind have reached the present end of the log."""
    now = log.fence()
    behind = set(registry.of_kind(kind))

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
    """One line for each message, of any order, that a subscription failed to process."""
    failed = Parked.objects.exclude(error="").order_by("subscription", "position")
    return [
        f"{each.subscription} at {each.position}, {each.key}, {each.status} after {each.attempts}"
        f" tries: {each.error}"
        for each in failed
    ]


def _until(condition: Callable[[], bool], report: Callable[[], None]) -> None:
    """Deliver until the condition holds. Raises NothingMoves."""
    if condition():
        return
    since, seen = time.monotonic(), _traces()
    while not condition():
        report()
        if not worker.work(seconds=TURN_SECONDS):
            time.sleep(PAUSE_SECONDS)
        if (now := _traces()) != seen:
            since, seen = time.monotonic(), now
            continue
        # At rest, no subscription has anything to do, now or later.
        is_at_rest = not (cursors.work() or Parked.objects.filter(due_at__isnull=False).exists())
        if is_at_rest or time.monotonic() - since > PATIENCE_SECONDS:
            raise NothingMoves


class Traces(NamedTuple):
    """Changes whenever a subscription makes progress."""

    positions: dict[str, int]
    parked: int


def _traces() -> Traces:
    return Traces(
        dict(Subscription.objects.values_list("name", "position")), Parked.objects.count()
    )


def _until_all_are_among(
    done: QuerySet[Any], keys: Collection[str], report: Callable[[int], None]
) -> None:
    """keys: primary keys of the awaited rows."""
    open_ = set(keys)

    def are_done() -> bool:
        waiting = list(open_)
        for start in range(0, len(waiting), SLICE):
            some = done.filter(pk__in=waiting[start : start + SLICE])
            open_.difference_update(some.values_list("pk", flat=True))
        return not open_

    _until(are_done, lambda: report(len(open_)))
