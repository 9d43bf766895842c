"""How it goes at a glance: what is wrong, how fast the log grows, what every subscription is
doing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from eventstore.delivery import heartbeats
from eventstore.operations import lag
from eventstore.operations.lag import Lag
from eventstore.postgres import rows
from eventstore.sagas import NEEDS_ATTENTION

from . import charts, formatting

# Seconds from which a subscription's lag, a worker's silence, a transaction's age are worth a look,
# and worth an alarm.
LATE, TOO_LATE = 10.0, 120.0
# Seconds after which a worker that said nothing is counted no more.
SILENT = 30.0

OLDEST = """
    SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::double precision
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
        AND pid <> pg_backend_pid()
"""
SAGAS = """
    SELECT saga, status, count(*)
    FROM (SELECT saga, status FROM eventstore_saga ORDER BY id DESC LIMIT 10000) AS newest
    GROUP BY saga, status
    ORDER BY saga, status
"""
# The status stands in the text itself: a plan for any status could not take the index of those that
# wait.
STUCK = (
    f"SELECT count(*) FROM (SELECT FROM eventstore_saga WHERE status = '{NEEDS_ATTENTION}' ORDER BY"
    " id) AS waiting"
)


class Sign(NamedTuple):
    """mood: good, waiting or bad; the word says it without the colour."""

    name: str
    word: str
    mood: str
    detail: str


def glance() -> dict[str, Any]:
    """A number of queries that does not grow with the log."""
    subscriptions = [
        each for each in lag.lags() if each.kind != "retired" and each.name not in lag.OUR_OWN
    ]
    beats, sagas, told = heartbeats.heartbeats(), rows(SAGAS), charts.told()
    return {
        "signs": [
            _log(told),
            _outbox(subscriptions),
            _subscriptions(subscriptions),
            _dead(subscriptions),
            _paused(subscriptions),
            _sagas(sagas),
            _workers(beats),
            _beat(beats),
            _oldest(),
        ],
        "subscriptions": subscriptions,
        "sagas": sagas,
        "charts": told.charts,
        "beats": beats,
    }


def _log(told: charts.Trends) -> Sign:
    if told.rate is None:
        return Sign(
            "Log",
            "not measured",
            "waiting",
            "nobody has taken samples of late: the beat does, or manage.py work",
        )
    return Sign(
        "Log", "measured", "good", f"{told.rate:.1f} messages a second were written, of late"
    )


def _outbox(lags: Sequence[Lag]) -> Sign:
    """A message counts once for each subscription that has still to take it."""
    depth, seconds = (
        sum(each.events for each in lags),
        max((each.seconds for each in lags), default=0.0),
    )
    least = "at least " if any(each.is_cut for each in lags) else ""
    if not depth:
        return Sign("Outbox", "empty", "good", "nothing is owed to anybody")
    detail = f"{least}{depth} deliveries are owed, the oldest for {formatting.age(seconds)}"
    return Sign("Outbox", *_judged(seconds, ("flows", "fills", "stands")), detail)


def _subscriptions(lags: Sequence[Lag]) -> Sign:
    worst = max(lags, key=lambda each: each.seconds if each.events else 0.0, default=None)
    if worst is None or not worst.events:
        return Sign("Subscriptions", "up to date", "good", "every message is taken")
    detail = (
        f"{worst.name} is {worst.amount} messages behind, the oldest"
        f" {formatting.age(worst.seconds)} old"
    )
    return Sign(
        "Subscriptions", *_judged(worst.seconds, ("up to date", "behind", "far behind")), detail
    )


def _dead(lags: Sequence[Lag]) -> Sign:
    dead, parked = sum(each.dead for each in lags), sum(each.parked for each in lags)
    if dead:
        return Sign(
            "Dead letters",
            "some",
            "bad",
            f"{dead} wait for a person, {parked} more are tried again",
        )
    if parked:
        return Sign("Dead letters", "none", "waiting", f"{parked} parked messages are tried again")
    return Sign("Dead letters", "none", "good", "nothing is parked")


def _paused(lags: Sequence[Lag]) -> Sign:
    names = ", ".join(each.name for each in lags if each.paused)
    return (
        Sign("Paused", "some", "waiting", names)
        if names
        else Sign("Paused", "none", "good", "every subscription runs")
    )


def _sagas(counted: Sequence[tuple[str, str, int]]) -> Sign:
    ((stuck,),) = rows(STUCK)
    if stuck:
        return Sign("Sagas", "some are stuck", "bad", f"{stuck} wait for a person")
    return Sign(
        "Sagas", "none is stuck", "good", "none waits for a person" if counted else "none has begun"
    )


def _workers(beats: Sequence[heartbeats.Heartbeat]) -> Sign:
    alive = [each for each in beats if each.kind == heartbeats.WORKER and each.seconds < SILENT]
    if not alive:
        return Sign("Workers", "none", "bad", "nobody has been heard; start a worker")
    last = min(each.seconds for each in alive)
    return Sign(
        "Workers",
        *_judged(last, ("at work", "quiet", "silent")),
        f"{len(alive)}, last heard {formatting.age(last)} ago",
    )


def _beat(beats: Sequence[heartbeats.Heartbeat]) -> Sign:
    last = min((each.seconds for each in beats if each.kind == heartbeats.BEAT), default=None)
    if last is None:
        return Sign(
            "Beat", "none", "bad", "nobody has been heard; start celery beat, or manage.py work"
        )
    return Sign(
        "Beat",
        *_judged(last, ("beats", "quiet", "silent")),
        f"last heard {formatting.age(last)} ago",
    )


def _oldest() -> Sign:
    ((seconds,),) = rows(OLDEST)
    return Sign(
        "Oldest transaction",
        *_judged(seconds, ("short", "long", "too long")),
        f"open for {formatting.age(seconds)}",
    )


def _judged(seconds: float, words: tuple[str, str, str]) -> tuple[str, str]:
    step = (seconds >= LATE) + (seconds >= TOO_LATE)
    return words[step], ("good", "waiting", "bad")[step]
