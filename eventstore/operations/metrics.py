"""The lag history: position and lag of each subscription every 30 seconds, for the last 25
hours."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from eventstore.log import epochs
from eventstore.postgres import execute, rows

from . import lag

EVERY = timedelta(seconds=30)
KEPT = timedelta(hours=25)
# The name of the sample of all subscriptions: the position of the log's end, the sum of their
# messages, the age of the oldest one.
WHOLE = ""

# The first process in a time slot writes its samples; several may run Celery beat. A subquery,
# because a volatile expression in a condition cannot use an index.
SLOT = "(SELECT floor(extract(epoch FROM clock_timestamp()) / 30)::integer)"
IS_TAKEN = (
    f"SELECT EXISTS (SELECT FROM eventstore_sample WHERE subscription = '' AND slot = {SLOT})"
)
TAKE = f"""
    INSERT INTO eventstore_sample (subscription, slot, at, position, events, seconds)
    SELECT subscription, {SLOT}, clock_timestamp(), position, events, seconds
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::double precision[])
        AS sample(subscription, position, events, seconds)
    ON CONFLICT DO NOTHING
"""
FORGET = f"DELETE FROM eventstore_sample WHERE slot < {SLOT} - %s"
# The comparison of pairs makes the planner use the index that begins with the subscription.
SINCE = f"""
    SELECT at, position, events, seconds
    FROM eventstore_sample
    WHERE (subscription, slot) >= (%s, {SLOT} - %s) AND subscription <= %s
    ORDER BY subscription, slot
"""


class Sample(NamedTuple):
    """position: of the subscription, or of the log's end. events, seconds: its lag."""

    at: datetime
    position: int
    events: int
    seconds: float


class Point(NamedTuple):
    """A time step, by its beginning. rate: positions a second. None: there is no sample."""

    at: datetime
    rate: float | None = None
    events: int | None = None
    seconds: float | None = None


def take() -> None:
    """Store a sample of each subscription, unless this time slot has samples already."""
    ((is_taken,),) = rows(IS_TAKEN)
    if is_taken:
        return
    subscriptions = [each for each in lag.lags() if each.is_in_wiring]
    whole = (
        WHOLE,
        max((each.fence for each in subscriptions), default=0),
        sum(each.events for each in subscriptions),
        max((each.seconds for each in subscriptions), default=0.0),
    )
    samples = [(each.name, each.position, each.events, each.seconds) for each in subscriptions]
    execute(TAKE, [list(column) for column in zip(whole, *samples, strict=True)]).close()
    execute(FORGET, [KEPT // EVERY]).close()


def since(ago: timedelta, subscription: str = WHOLE) -> list[Sample]:
    return [Sample(*row) for row in rows(SINCE, [subscription, ago // EVERY, subscription])]


def trend(
    samples: Sequence[Sample], *, until: datetime, step: timedelta, count: int
) -> list[Point]:
    """`count` time steps that end now: in each the highest lag, and the rate since the step
    before."""
    last = _step_of(until, step)
    by_step = {
        number: list(group)
        for number, group in groupby(samples, lambda each: _step_of(each.at, step))
    }
    points = []
    for number in range(last - count + 1, last + 1):
        at = datetime.fromtimestamp(number * step.total_seconds(), tz=UTC)
        if of_step := by_step.get(number):
            before = by_step[number - 1][-1] if number - 1 in by_step else of_step[0]
            events = max(each.events for each in of_step)
            seconds = max(each.seconds for each in of_step)
            points.append(Point(at, rate(before, of_step[-1]), events, seconds))
        else:
            points.append(Point(at))
    return points


def rate(before: Sample, after: Sample) -> float | None:
    """Positions a second; 0 for a subscription that was reset in between."""
    seconds = (after.at - before.at).total_seconds()
    return max(0, epochs.given(before.position, after.position)) / seconds if seconds else None


def _step_of(at: datetime, step: timedelta) -> int:
    return int(at.timestamp() // step.total_seconds())
