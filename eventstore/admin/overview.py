"""How it goes at a glance: what is wrong, how fast the log grows, what every lane is doing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from eventstore import heartbeats, lag
from eventstore.lag import Lag
from eventstore.postgres import rows

MINUTES, HOURS = 60, 24
# Seconds from which a lane's lag, a worker's silence, a transaction's age are worth a look, and worth an alarm.
LATE, TOO_LATE = 10.0, 120.0
# Seconds after which a worker that said nothing is counted no more.
SILENT = 30.0

# There is no index by time: the position of each moment is searched for by halves along the primary key.
POSITIONS = """
    WITH RECURSIVE moments AS (
        SELECT number, now() - number * %s::interval AS at, 0::bigint AS low,
               (SELECT coalesce(max(position), 0) + 1 FROM eventstore_event) AS high
        FROM generate_series(0, %s::integer) AS number
        UNION ALL
        SELECT number, at,
               CASE WHEN found.recorded_at < at THEN greatest(found.position, middle.position) ELSE low END,
               CASE WHEN found.recorded_at < at THEN high ELSE middle.position END
        FROM moments
        CROSS JOIN LATERAL (SELECT (low + high) / 2 AS position) AS middle
        LEFT JOIN LATERAL (
            SELECT position, recorded_at FROM eventstore_event AS event
            WHERE event.position >= middle.position ORDER BY event.position LIMIT 1
        ) AS found ON true
        WHERE high - low > 1
    )
    SELECT at, max(low) FROM moments GROUP BY at ORDER BY at
"""
OLDEST = """
    SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::double precision
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
SAGAS = """
    SELECT saga, status, count(*)
    FROM (SELECT saga, status FROM eventstore_saga ORDER BY id DESC LIMIT 10000) AS newest
    GROUP BY saga, status
    ORDER BY saga, status
"""

CHART_HEIGHT, BAR = 80, 10


class Sign(NamedTuple):
    """mood: good, waiting or bad; the word says it without the colour."""

    name: str
    word: str
    mood: str
    detail: str


class Bar(NamedTuple):
    at: datetime
    messages: int
    x: int
    y: int
    height: int


class Chart(NamedTuple):
    """title: what a bar stands for. most: the count of the highest."""

    title: str
    width: int
    most: int
    total: int
    bars: Sequence[Bar]


def shown() -> dict[str, Any]:
    """A number of queries that does not grow with the log."""
    lags, beats = lag.lags(), heartbeats.heartbeats()
    return {
        "signs": [_lanes(lags), _dead(lags), _paused(lags), _workers(beats), _oldest()],
        "lanes": [each for each in lags if each.kind != "retired" and each.name not in lag.OUR_OWN],
        "sagas": rows(SAGAS),
        "charts": [_chart("minute", "1 minute", MINUTES), _chart("hour", "1 hour", HOURS)],
        "beats": beats,
    }


def _lanes(lags: Sequence[Lag]) -> Sign:
    worst = max(lags, key=lambda each: each.seconds if each.events else 0.0, default=None)
    if worst is None or not worst.events:
        return Sign("Lanes", "up to date", "good", "every message is taken")
    detail = f"{worst.name} is {worst.events} messages behind, the oldest {worst.seconds:.1f} s old"
    return Sign("Lanes", *_judged(worst.seconds, ("up to date", "behind", "far behind")), detail)


def _dead(lags: Sequence[Lag]) -> Sign:
    dead, parked = sum(each.dead for each in lags), sum(each.parked for each in lags)
    if dead:
        return Sign("Dead letters", "some", "bad", f"{dead} wait for a person, {parked} more are tried again")
    return Sign("Dead letters", "none", "waiting" if parked else "good", f"{parked} parked messages are tried again")


def _paused(lags: Sequence[Lag]) -> Sign:
    names = ", ".join(each.name for each in lags if each.paused)
    return Sign("Paused", "some", "waiting", names) if names else Sign("Paused", "none", "good", "every lane runs")


def _workers(beats: Sequence[heartbeats.Heartbeat]) -> Sign:
    alive = [each for each in beats if each.kind == heartbeats.WORKER and each.seconds < SILENT]
    if not alive:
        return Sign("Workers", "none", "bad", "nobody has been heard; start a worker")
    last = min(each.seconds for each in alive)
    return Sign("Workers", *_judged(last, ("at work", "quiet", "silent")), f"{len(alive)}, last heard {last:.0f} s ago")


def _oldest() -> Sign:
    ((seconds,),) = rows(OLDEST)
    return Sign("Oldest transaction", *_judged(seconds, ("short", "long", "too long")), f"open for {seconds:.1f} s")


def _judged(seconds: float, words: tuple[str, str, str]) -> tuple[str, str]:
    step = (seconds >= LATE) + (seconds >= TOO_LATE)
    return words[step], ("good", "waiting", "bad")[step]


def _chart(unit: str, interval: str, count: int) -> Chart:
    """A position is given to each event and to each message owed, so their difference is how many there were."""
    marks = rows(POSITIONS, [interval, count])
    counts = [(later[0], later[1] - earlier[1]) for earlier, later in zip(marks, marks[1:], strict=False)]
    most = max((each for _, each in counts), default=0)
    bars = [_bar(number, at, each, most) for number, (at, each) in enumerate(counts)]
    return Chart(f"Messages by the {unit}", BAR * len(bars), most, sum(each for _, each in counts), bars)


def _bar(number: int, at: datetime, count: int, most: int) -> Bar:
    height = round(CHART_HEIGHT * count / most) if most else 0
    return Bar(at, count, number * BAR, CHART_HEIGHT - height, height)
