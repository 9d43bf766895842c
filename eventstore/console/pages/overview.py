"""The overview: indicators of what is wrong, throughput, and the state of every subscription."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from eventstore.console import formatting
from eventstore.console.diagrams import charts
from eventstore.delivery import heartbeats
from eventstore.operations import lag
from eventstore.operations.lag import Lag
from eventstore.postgres import rows
from eventstore.sagas import NEEDS_ATTENTION

# Seconds of lag, of a worker's silence or of an open transaction from which an indicator warns, and
# from which it is bad.
LATE, TOO_LATE = 10.0, 120.0
# Seconds after the last heartbeat from which a worker no longer counts.
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
# The status is a literal: with a parameter, PostgreSQL could not plan with the partial index of
# this status.
STUCK = (
    f"SELECT count(*) FROM (SELECT FROM eventstore_saga WHERE status = '{NEEDS_ATTENTION}' ORDER BY"
    " id) AS waiting"
)


class Indicator(NamedTuple):
    """level: good, waiting or bad."""

    name: str
    state: str
    level: str
    detail: str


def overview() -> dict[str, Any]:
    """A fixed number of queries, however long the log is."""
    subscriptions = [
        each for each in lag.lags() if each.kind != "retired" and each.name not in lag.OUR_OWN
    ]
    beats, sagas, trends = heartbeats.heartbeats(), rows(SAGAS), charts.trends()
    return {
        "indicators": [
            _log(trends.rate),
            _outbox(subscriptions),
            _subscriptions(subscriptions),
            _dead_letters(subscriptions),
            _paused(subscriptions),
            _sagas(sagas),
            _workers(beats),
            _celery_beat(beats),
            _oldest_transaction(),
        ],
        "subscriptions": subscriptions,
        "sagas": sagas,
        "charts": trends.charts,
        "heartbeats": beats,
    }


def _log(rate: float | None) -> Indicator:
    if rate is None:
        detail = "no recent samples: Celery beat takes them, or manage.py work"
        return Indicator("Log", "not measured", "waiting", detail)
    return Indicator("Log", "measured", "good", f"{rate:.1f} messages a second recently")


def _outbox(lags: Sequence[Lag]) -> Indicator:
    """Counts a message once for each subscription that has not taken it."""
    depth = sum(each.events for each in lags)
    if not depth:
        return Indicator("Outbox", "empty", "good", "no pending deliveries")
    seconds = max(each.seconds for each in lags)
    least = "at least " if any(each.is_cut for each in lags) else ""
    detail = f"{least}{depth} pending deliveries, the oldest {formatting.age(seconds)} old"
    return Indicator("Outbox", *_judge(seconds, ("flowing", "filling", "stalled")), detail)


def _subscriptions(lags: Sequence[Lag]) -> Indicator:
    name = "Subscriptions"
    worst = max(lags, key=lambda each: each.seconds if each.events else 0.0, default=None)
    if worst is None or not worst.events:
        return Indicator(name, "up to date", "good", "every message is delivered")
    age = formatting.age(worst.seconds)
    detail = f"{worst.name} is {worst.amount} messages behind, the oldest {age} old"
    return Indicator(name, *_judge(worst.seconds, ("up to date", "behind", "far behind")), detail)


def _dead_letters(lags: Sequence[Lag]) -> Indicator:
    dead, parked = sum(each.dead for each in lags), sum(each.parked for each in lags)
    if dead:
        detail = f"{dead} need an operator, {parked} more are retried"
        return Indicator("Dead letters", "some", "bad", detail)
    if parked:
        return Indicator("Dead letters", "none", "waiting", f"{parked} parked messages are retried")
    return Indicator("Dead letters", "none", "good", "nothing is parked")


def _paused(lags: Sequence[Lag]) -> Indicator:
    names = ", ".join(each.name for each in lags if each.paused)
    if names:
        return Indicator("Paused", "some", "waiting", names)
    return Indicator("Paused", "none", "good", "every subscription runs")


def _sagas(counted: Sequence[tuple[str, str, int]]) -> Indicator:
    ((stuck,),) = rows(STUCK)
    if stuck:
        return Indicator("Sagas", "some are stuck", "bad", f"{stuck} need an operator")
    detail = "none needs an operator" if counted else "none has started"
    return Indicator("Sagas", "none is stuck", "good", detail)


def _workers(beats: Sequence[heartbeats.Heartbeat]) -> Indicator:
    alive = [each for each in beats if each.kind == heartbeats.WORKER and each.seconds < SILENT]
    if not alive:
        return Indicator("Workers", "none", "bad", "no recent heartbeat; start a worker")
    last = min(each.seconds for each in alive)
    detail = f"{len(alive)}, last heartbeat {formatting.age(last)} ago"
    return Indicator("Workers", *_judge(last, ("running", "quiet", "silent")), detail)


def _celery_beat(beats: Sequence[heartbeats.Heartbeat]) -> Indicator:
    last = min((each.seconds for each in beats if each.kind == heartbeats.BEAT), default=None)
    if last is None:
        detail = "no heartbeat; start Celery beat, or manage.py work"
        return Indicator("Celery beat", "none", "bad", detail)
    detail = f"last heartbeat {formatting.age(last)} ago"
    return Indicator("Celery beat", *_judge(last, ("running", "quiet", "silent")), detail)


def _oldest_transaction() -> Indicator:
    ((seconds,),) = rows(OLDEST)
    state, level = _judge(seconds, ("short", "long", "too long"))
    detail = f"open for {formatting.age(seconds)}"
    return Indicator("Oldest transaction", state, level, detail)


def _judge(seconds: float, states: tuple[str, str, str]) -> tuple[str, str]:
    step = (seconds >= LATE) + (seconds >= TOO_LATE)
    return states[step], ("good", "waiting", "bad")[step]
