"""The epochs of the log. A new epoch begins when the log may have lost events; then everything that
was cached, promised or sent about the lost part is checked again.

See docs/adr/0023-the-log-has-epochs.md.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    OperationalError,
    ProgrammingError,
    connections,
    transaction,
)
from django.db.backends.signals import connection_created
from django.utils import timezone

from eventstore import postgres, settings

logger = logging.getLogger(__name__)

OVER = "ES005"
FIRST, CRASH, PROMOTION, RESTORE, WENT_BACK = "first", "crash", "promotion", "restore", "went back"
ELSEWHERE, LONG_SILENT = "elsewhere", "long silent"
FOR_AN_OPERATOR = (ELSEWHERE, LONG_SILENT)

# A standby takes over within minutes. If there is a new timeline and nothing was written for longer
# than that, an earlier state of the log was restored.
SILENCE = timedelta(minutes=10)
# How old the cached epochs may be where no statement would report a new one.
TRUSTED_SECONDS = 5.0

LOG_STATE = """
    SELECT eventstore_mark(), place.system_identifier, place.database::bigint, place.timeline,
           extract(epoch FROM clock_timestamp() - greatest(
               (SELECT max(at) FROM eventstore_heartbeat),
               (SELECT max(moved_at) FROM eventstore_subscription),
               (SELECT recorded_at FROM eventstore_event ORDER BY position DESC LIMIT 1)
           ))::float8,
           (SELECT json_agg(epoch ORDER BY number)::text FROM (
               SELECT number, mark, reason, detail, began_at,
                      extract(epoch FROM silent)::float8 AS silent,
                      intact, last, first, system_identifier, database::bigint, timeline, settled_at
               FROM eventstore_epoch
           ) AS epoch)
    FROM eventstore_place() AS place
"""
BEGIN = "SELECT eventstore_begin_epoch(%s, %s, %s, %s)"
STARTED = "SELECT pg_postmaster_start_time()"


class EpochOver(OperationalError):
    """A new epoch of the log has begun: decisions based on this process's cache must be made
    again."""


class LogRestored(OperationalError):
    """The database was restored or replaced, so an operator must check what it lacks: manage.py
    after_restore."""


class Epoch(msgspec.Struct, frozen=True):
    """reason: first, crash, promotion, restore or went back. detail: a sentence, or empty.

    intact: up to this position no event was lost before the epoch began. last: position of the last
    event at its beginning. first: the epoch's own positions lie above it. silent: seconds between
    the last sign of activity and its beginning. settled_at: when after_restore was run.
    """

    number: int
    mark: int
    reason: str
    detail: str
    began_at: datetime
    silent: float
    intact: int
    last: int
    first: int
    system_identifier: int | None
    database: int
    timeline: int | None
    settled_at: datetime | None

    @property
    def may_have_lost(self) -> bool:
        """A crash loses nothing that was acknowledged; but the start of an old copy looks like a
        crash."""
        return self.reason != FIRST and (
            self.reason != CRASH or self.silent > SILENCE.total_seconds()
        )


class LogState(msgspec.Struct, frozen=True):
    """State of the log according to the server. mark: of the current epoch; None when a new one
    must begin. silent: seconds since the last sign of activity."""

    mark: int | None
    system_identifier: int | None
    database: int
    timeline: int | None
    silent: float
    epochs: tuple[Epoch, ...]


class _Cached(msgspec.Struct, frozen=True):
    mark: int
    epochs: tuple[Epoch, ...]
    queried_at: float


_cached: _Cached | None = None
_forget: list[Callable[[], None]] = []


def drop_when_over(forget: Callable[[], None]) -> None:
    """forget: drops a module's cache of the log; called when a new epoch begins."""
    _forget.append(forget)


def mark() -> int:
    """The mark of the current epoch. Cached; queried once per process and per new connection.
    Raises LogRestored."""
    return _cached.mark if _cached is not None else renew()


def known_mark() -> int | None:
    """As mark, from the cache only; None if it is not cached."""
    return _cached.mark if _cached is not None else None


def history() -> Sequence[Epoch]:
    """The cached epochs, the first one first."""
    return _cached.epochs if _cached is not None else ()


def recent() -> Sequence[Epoch]:
    """As history, at most TRUSTED_SECONDS old. For queries: appends and workers notice a new epoch
    by themselves."""
    if _cached is None or time.monotonic() - _cached.queried_at > TRUSTED_SECONDS:
        return present()
    return history()


def present() -> Sequence[Epoch]:
    """As history, but queried now."""
    try:
        renew()
    except LogRestored:
        logger.warning("reading a restored log; run manage.py after_restore")
    return history()


def is_over(error: BaseException | None) -> bool:
    """Whether a statement was refused because its epoch is over, or because the next epoch has not
    begun yet."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else None
    return isinstance(cause, psycopg.Error) and cause.sqlstate == OVER


def over() -> EpochOver:
    """Drop all caches and return the error to raise."""
    forget()
    return EpochOver("the log has begun another epoch")


def forget() -> None:
    """Drop everything that this process caches of the log."""
    global _cached
    _cached = None
    for each in _forget:
        each()


def renew() -> int:
    """Query the state of the log, and begin its next epoch after a crash or a promotion. Returns
    the mark. Raises LogRestored."""
    state = ask()
    why = what_happened(state)
    if why in FOR_AN_OPERATOR:
        raise LogRestored(sentence(state, why))
    if why:
        return begin(why)
    assert state.mark is not None, "a log without a mark has had a crash or a promotion"
    return _adopt(state.mark, state.epochs)


def what_happened(state: LogState) -> str:
    """CRASH or PROMOTION, after which any process begins the next epoch; ELSEWHERE or LONG_SILENT,
    after which an operator does; or "" if nothing happened."""
    if not state.epochs:
        return CRASH if state.mark is None else ""
    latest = state.epochs[-1]
    systems = {latest.system_identifier, state.system_identifier} - {None}
    if latest.database != state.database or len(systems) > 1:
        return ELSEWHERE
    if state.mark is not None:
        return ""
    if latest.timeline is not None and latest.timeline == state.timeline:
        return CRASH
    return LONG_SILENT if state.silent > SILENCE.total_seconds() else PROMOTION


def sentence(state: LogState, why: str) -> str:
    latest = state.epochs[-1]
    if why == LONG_SILENT:
        what = (
            f"PostgreSQL is on timeline {state.timeline}, the log was on {latest.timeline}, and"
            f" nothing was written for {state.silent / 60:.0f} minutes: an earlier state of the"
            " log was restored."
        )
    else:
        what = (
            f"The log is in another place: system {state.system_identifier}, database"
            f" {state.database}; it was written in system {latest.system_identifier}, database"
            f" {latest.database}. It was restored or copied."
        )
    return f"{what} First check what it lacks: manage.py after_restore"


def begin(
    reason: str, detail: str = "", *, whole: int | None = None, over: int | None = None
) -> int:
    """Begin the next epoch, unless there is already one other than `over`. Returns the mark of the
    current one.

    whole: events after this position may be incomplete.
    """
    params = [over, reason, detail, whole]
    if transaction.get_connection().in_atomic_block:
        with postgres.beside() as side:
            ((mark,),) = side.rows(BEGIN, params)
    else:
        ((mark,),) = postgres.rows(BEGIN, params)
    state = ask()
    latest = state.epochs[-1]
    if latest.mark == mark:
        logger.warning(
            "epoch %s of the log begins (%s): intact up to %s, last event %s, new events after %s",
            latest.number, latest.reason, latest.intact, latest.last, latest.first,
        )  # fmt: skip
    return _adopt(int(mark), state.epochs)


def went_back(stream: str, *, remembered: int) -> None:
    """A cache has a later version of a stream than the log: the log has lost events, and the server
    did not report it. Begins an epoch."""
    from . import search

    logger.warning(
        "the log went back: version %s of %s was cached and is not in the log", remembered, stream
    )
    ((started,),) = postgres.rows(STARTED)
    # A copy that was taken before its server started holds nothing that was recorded after that.
    whole = max(search.position_at(started) - 1, 0)
    reason = f"Version {remembered} of {stream} was cached and is not in the log."
    begin(WENT_BACK, reason, whole=whole, over=known_mark() or ask().mark)


def ask() -> LogState:
    """Query the state of the log."""
    ((mark, system, database, timeline, silent, epochs),) = postgres.rows(LOG_STATE)
    decoded = msgspec.json.decode(epochs or "[]", type=tuple[Epoch, ...])
    return LogState(mark, system, database, timeline, silent or 0.0, decoded)


def lost_behind(position: int, epochs: Sequence[Epoch]) -> Epoch | None:
    """The epoch at whose beginning events up to this position may have been lost; None if nothing
    was lost up to it.

    No position is used twice: the positions of each epoch lie far above those of the one before.
    """
    lost = [each for each in epochs if each.number > 1 and each.intact < position <= each.first]
    return min(lost, key=lambda each: each.intact, default=None)


def beyond_gap(position: int) -> int:
    """The position to move a cursor to: if it would be in the gap between two epochs, the end of
    the gap."""
    gaps = [
        each.first for each in history() if each.number > 1 and each.last < position <= each.first
    ]
    return max(gaps, default=position)


def given(after: int, until: int) -> int:
    """The maximum number of positions in use between these two: without the gaps between epochs."""
    gaps = (min(until, each.first) - max(after, each.last) for each in history() if each.number > 1)
    return until - after - sum(max(0, gap) for gap in gaps)


def asks_first() -> bool:
    """Whether an external call may have been made without a trace in the log, so that the provider
    must be queried by the call's key first. True for as long as a client may repeat the request
    that led to the call."""
    since = timezone.now() - settings.response_retention()
    return any(each.may_have_lost and each.began_at > since for each in history())


def demand() -> None:
    """For a process at its start. Raises LogRestored; where the tables do not exist yet, only logs
    a warning."""
    try:
        renew()
    except ProgrammingError as error:
        logger.warning("could not query the epoch of the log: %s", error)


def _adopt(mark: int, epochs: tuple[Epoch, ...]) -> int:
    global _cached
    if _cached is not None and _cached.mark != mark:
        logger.warning("the log has begun another epoch; dropping caches")
        forget()
    _cached = _Cached(mark, epochs, time.monotonic())
    return mark


def _check_new_connection(connection: Any, **_: Any) -> None:
    """A new connection may lead to another server: a promoted standby or a restored database."""
    if _cached is not None and connection is connections[DEFAULT_DB_ALIAS]:
        demand()


connection_created.connect(_check_new_connection)
