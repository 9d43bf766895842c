"""The overview: indicators of what is wrong, throughput, and the state of every subscription."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from eventstore import registry
from eventstore.console import at_brokers, formatting
from eventstore.console.diagrams import charts
from eventstore.delivery import heartbeats
from eventstore.operations import doctor, lag
from eventstore.operations.doctor import backlog
from eventstore.operations.lag import Lag
from eventstore.postgres import rows
from eventstore.sagas import NEEDS_ATTENTION
from eventstore.subscriptions import Webhooks
from eventstore.webhooks import overview as webhooks

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
    subscriptions = [each for each in lag.lags() if each.is_in_wiring]
    beats, sagas, trends = heartbeats.heartbeats(), rows(SAGAS), charts.trends()
    if trends.rate is None:
        detail = "no recent samples: Celery beat takes them, or manage.py work"
        log = Indicator("Log", "not measured", "waiting", detail)
    else:
        detail = f"{trends.rate:.1f} messages a second recently"
        log = Indicator("Log", "measured", "good", detail)
    brokers = at_brokers.at_brokers()
    indicators = [log, *_of_subscriptions(subscriptions)]
    if brokers:
        state = "up to date", "good", f"{len(brokers)} relays and consumers"
        if behind := sum(each.behind or 0 for each in brokers):
            state = "behind", "waiting", f"{behind} messages are not read"
        if stopped := [f"{each.name}: {each.error}" for each in brokers if each.error]:
            more = f", and {len(stopped) - 1} more" if stopped[1:] else ""
            state = "stopped", "bad", formatting.shortened(stopped[0]) + more
        indicators.append(Indicator("Brokers", *state))
    if registry.of_kind(Webhooks):
        count = webhooks.counts()
        failing = f"{count.failing} of {count.enabled} endpoints fail"
        detail = f"{count.waiting} deliveries wait, {failing}"
        state = "waiting" if count.waiting else "up to date", "good", detail
        if count.failing:
            state = "failing", "waiting", detail
        indicators.append(Indicator("Webhooks", *state))
    return {
        "indicators": [*indicators, *_of_failing(), *_of_processes(sagas, beats)],
        "subscriptions": subscriptions,
        "sagas": sagas,
        "charts": trends.charts,
        "heartbeats": beats,
        "brokers": brokers,
    }


def _of_subscriptions(lags: Sequence[Lag]) -> Iterator[Indicator]:
    # A message counts once for each subscription that has not taken it.
    if depth := sum(each.events for each in lags):
        seconds = max(each.seconds for each in lags)
        least = "at least " if any(each.is_cut for each in lags) else ""
        detail = f"{least}{depth} pending deliveries, the oldest {formatting.age(seconds)} old"
        yield Indicator("Outbox", *_judge(seconds, ("flowing", "filling", "stalled")), detail)
    else:
        yield Indicator("Outbox", "empty", "good", "no pending deliveries")
    name = "Subscriptions"
    worst = max(lags, key=lambda each: each.seconds if each.events else 0.0, default=None)
    if worst is not None and worst.events:
        age = formatting.age(worst.seconds)
        detail = f"{worst.name} is {worst.amount} messages behind, the oldest {age} old"
        states = ("up to date", "behind", "far behind")
        yield Indicator(name, *_judge(worst.seconds, states), detail)
    else:
        yield Indicator(name, "up to date", "good", "every stored message is delivered")
    dead, parked = sum(each.dead for each in lags), sum(each.parked for each in lags)
    if dead:
        detail = f"{dead} need an operator, {parked} more are retried"
        yield Indicator("Dead letters", "some", "bad", detail)
    elif parked:
        yield Indicator("Dead letters", "none yet", "waiting", f"{parked} parked, and retried")
    else:
        yield Indicator("Dead letters", "none", "good", "nothing is parked")
    if paused := ", ".join(each.name for each in lags if each.paused):
        yield Indicator("Paused", "some", "waiting", paused)
    else:
        yield Indicator("Paused", "none", "good", "every subscription runs")


def _of_failing() -> Iterator[Indicator]:
    """Messages and calls that fail again and again, long before they are dead letters."""
    found = [each for each in backlog.parked(doctor.DEFAULT) if each.check == "failing"]
    if found:
        yield Indicator("Failing", "some", "waiting", " ".join(each.what for each in found))
    else:
        yield Indicator("Failing", "none", "good", "nothing fails again and again")


def _of_processes(
    sagas: Sequence[tuple[str, str, int]], beats: Sequence[heartbeats.Heartbeat]
) -> Iterator[Indicator]:
    """Of sagas, and of the processes and transactions that run."""
    ((stuck,),) = rows(STUCK)
    if stuck:
        yield Indicator("Sagas", "some are stuck", "bad", f"{stuck} need an operator")
    else:
        detail = "none needs an operator" if sagas else "none has started"
        yield Indicator("Sagas", "none is stuck", "good", detail)
    alive = [each.seconds for each in beats if each.kind == heartbeats.WORKER]
    alive = [seconds for seconds in alive if seconds < SILENT]
    if alive:
        detail = f"{len(alive)}, last heartbeat {formatting.age(min(alive))} ago"
        yield Indicator("Workers", *_judge(min(alive), ("running", "quiet", "silent")), detail)
    else:
        yield Indicator("Workers", "none", "bad", "no recent heartbeat; start a worker")
    last = min((each.seconds for each in beats if each.kind == heartbeats.BEAT), default=None)
    if last is None:
        detail = "no heartbeat; start Celery beat, or manage.py work"
        yield Indicator("Celery beat", "none", "bad", detail)
    else:
        detail = f"last heartbeat {formatting.age(last)} ago"
        yield Indicator("Celery beat", *_judge(last, ("running", "quiet", "silent")), detail)
    ((seconds,),) = rows(OLDEST)
    detail = f"open for {formatting.age(seconds)}"
    judged = _judge(seconds, ("short", "long", "too long"))
    yield Indicator("Oldest transaction", *judged, detail)


def _judge(seconds: float, states: tuple[str, str, str]) -> tuple[str, str]:
    step = (seconds >= LATE) + (seconds >= TOO_LATE)
    return states[step], ("good", "waiting", "bad")[step]
