"""How it went: where each subscription stood, and how far it was behind, every half minute of the
last day and a bit."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from eventstore.log import epochs
from eventstore.postgres import execute, rows

from . import lag
from .lag import Lag

EVERY = timedelta(seconds=30)
KEPT = timedelta(hours=25)
# Stands for all subscriptions together: its position is how far the log goes, its lag their sum and
# the oldest message.
WHOLE = ""

# Whoever comes first in a slot of time writes it; several may beat, and none knows of the others.
# In a query of its own, asked once: what may change from row to row is looked for along no index.
SLOT = "(SELECT floor(extract(epoch FROM clock_timestamp()) / 30)::integer)"
IS_TAKEN = (
    f"SELECT EXISTS (SELECT FROM eventstore_sample WHERE subscription = '' AND slot = {SLOT})"
)
TAKE = f"""
    INSERT INTO eventstore_sample (subscription, slot, at, position, events, seconds)
    SELECT subscription, {SLOT}, clock_timestamp(), position, events, seconds
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::double precision[])
        AS told(subscription, position, events, seconds)
    ON CONFLICT DO NOTHING
"""
FORGET = f"DELETE FROM eventstore_sample WHERE slot < {SLOT} - %s"
# Compared as a pair, for which only the index that begins with the subscription has the order.
SINCE = f"""
    SELECT at, position, events, seconds
    FROM eventstore_sample
    WHERE (subscription, slot) >= (%s, {SLOT} - %s) AND subscription <= %s
    ORDER BY subscription, slot
"""


class Sample(NamedTuple):
    """position: how far the subscription, or the log, had come. events, seconds: how far the
    subscription was behind."""

    at: datetime
    position: int
    events: int
    seconds: float


class Point(NamedTuple):
    """A step of time, by its beginning. rate: positions a second. None: nobody took a sample."""

    at: datetime
    rate: float | None = None
    events: int | None = None
    seconds: float | None = None


def take() -> None:
    """At most once in a slot of time, however often it is called, and by how many."""
    ((taken,),) = rows(IS_TAKEN)
    if taken:
        return
    subscriptions = [
        each for each in lag.lags() if each.kind != "retired" and each.name not in lag.OUR_OWN
    ]
    told = [
        _whole(subscriptions),
        *((each.name, each.position, each.events, each.seconds) for each in subscriptions),
    ]
    execute(TAKE, [list(column) for column in zip(*told, strict=True)]).close()
    execute(FORGET, [KEPT // EVERY]).close()


def since(ago: timedelta, subscription: str = WHOLE) -> list[Sample]:
    return [Sample(*row) for row in rows(SINCE, [subscription, ago // EVERY, subscription])]


def trend(
    samples: Sequence[Sample], *, until: datetime, step: timedelta, count: int
) -> list[Point]:
    """So many steps of time up to now; of each the highest lag, and the rate since the step before
    it."""
    last = _step_of(until, step)
    told = {
        number: list(of_it)
        for number, of_it in groupby(samples, lambda each: _step_of(each.at, step))
    }
    return list(_points(told, range(last - count + 1, last + 1), step))


def _points(told: dict[int, list[Sample]], numbers: range, step: timedelta) -> Iterator[Point]:
    for number in numbers:
        at = datetime.fromtimestamp(number * step.total_seconds(), tz=UTC)
        if number not in told:
            yield Point(at)
            continue
        of_it = told[number]
        before = told[number - 1][-1] if number - 1 in told else of_it[0]
        yield Point(
            at,
            rate(before, of_it[-1]),
            max(each.events for each in of_it),
            max(each.seconds for each in of_it),
        )


def rate(before: Sample, after: Sample) -> float | None:
    """A subscription that was put back is not told as one that goes backwards."""
    seconds = (after.at - before.at).total_seconds()
    return max(0, epochs.given(before.position, after.position)) / seconds if seconds else None


def _step_of(at: datetime, step: timedelta) -> int:
    return int(at.timestamp() // step.total_seconds())


def _whole(subscriptions: Sequence[Lag]) -> tuple[str, int, int, float]:
    fence = max((each.fence for each in subscriptions), default=0)
    return (
        WHOLE,
        fence,
        sum(each.events for each in subscriptions),
        max((each.seconds for each in subscriptions), default=0.0),
    )
