"""The epochs of the log: another one begins when the log may have lost something, and with it
everything that was remembered, promised or told of what may be lost is looked at anew.

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

# A standby takes over within minutes. Where nothing was written for longer and there is a new
# timeline, an earlier state of the log was restored.
SILENCE = timedelta(minutes=10)
# How old what a process knows may be where no statement brings word of a new epoch.
TRUSTED_SECONDS = 5.0

LOG_STATE = """
    SELECT eventstore_mark(), place.system_identifier, place.database::bigint, place.timeline,
           extract(epoch FROM clock_timestamp() - greatest(
               (SELECT max(at) FROM eventstore_heartbeat), (SELECT max(moved_at)
                   FROM eventstore_subscription),
               (SELECT recorded_at FROM eventstore_event ORDER BY position DESC LIMIT 1)
           ))::float8,
           (SELECT json_agg(epoch ORDER BY number)::text FROM (
               SELECT number, mark, reason, detail, began_at, extract(epoch
                   FROM silent)::float8 AS silent,
                      intact, last, first, system_identifier, database::bigint, timeline, settled_at
               FROM eventstore_epoch
           ) AS epoch)
    FROM eventstore_place() AS place
"""
BEGIN = "SELECT eventstore_begin_epoch(%s, %s, %s, %s)"
STARTED = "SELECT pg_postmaster_start_time()"


class EpochOver(OperationalError):
    """The log has begun another epoch: what was decided on what this process remembered is decided
    anew."""


class LogRestored(OperationalError):
    """The database is not the one it was, and what it lacks is for an operator to see to: manage.py
    after_restore."""


class Epoch(msgspec.Struct, frozen=True):
    """reason: first, crash, promotion, restore or went back. detail: in a sentence, where there is
    more to say.

    intact: all events up to there were there when it began. last: position of the last event then.
    first: the positions of its own lie above. silent: seconds since the last sign of life before
    it. settled_at: when after_restore was run.
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
        """After a crash nothing is lost that was acknowledged; but what looks like one may be an
        old copy's start."""
        return self.reason != FIRST and (
            self.reason != CRASH or self.silent > SILENCE.total_seconds()
        )


class LogState(msgspec.Struct, frozen=True):
    """What the server says of itself. mark: of the present epoch, None when one has to begin.
    silent: in seconds."""

    mark: int | None
    system_identifier: int | None
    database: int
    timeline: int | None
    silent: float
    epochs: tuple[Epoch, ...]


class _Known(msgspec.Struct, frozen=True):
    mark: int
    epochs: tuple[Epoch, ...]
    asked_at: float


_known: _Known | None = None
_forget: list[Callable[[], None]] = []


def drop_when_over(forget: Callable[[], None]) -> None:
    """forget: drops what a module remembers of the log. Called when another epoch has begun."""
    _forget.append(forget)


def mark() -> int:
    """Of the epoch that this process goes by; asked once, and of each new connection. Raises
    LogRestored."""
    return _known.mark if _known is not None else renew()


def known_mark() -> int | None:
    """As mark, without asking; None when the next call of mark would ask."""
    return _known.mark if _known is not None else None


def history() -> Sequence[Epoch]:
    """The epochs that this process knows, without asking; the first one first."""
    return _known.epochs if _known is not None else ()


def recent() -> Sequence[Epoch]:
    """As history, at most five seconds old. For who answers what does not go through an append, nor
    a worker's look."""
    if _known is None or time.monotonic() - _known.asked_at > TRUSTED_SECONDS:
        return present()
    return history()


def present() -> Sequence[Epoch]:
    """As history, asked now; one query."""
    try:
        renew()
    except LogRestored:
        logger.warning(
            "answered from a log that was restored and waits for manage.py after_restore"
        )
    return history()


def is_over(error: BaseException | None) -> bool:
    """Whether a statement was refused because of the epoch it went by, or as none has begun yet."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else None
    return isinstance(cause, psycopg.Error) and cause.sqlstate == OVER


def over() -> EpochOver:
    """Drop what this process remembers. Returns the error for whoever went by it."""
    forget()
    return EpochOver("the log has begun another epoch")


def forget() -> None:
    global _known
    _known = None
    for each in _forget:
        each()


def renew() -> int:
    """Ask how the log stands; begin its next epoch where that is ours to do. Returns the mark.
    Raises LogRestored."""
    standing = ask()
    why = what_happened(standing)
    if why in FOR_AN_OPERATOR:
        raise LogRestored(sentence(standing, why))
    if why:
        return begin(why)
    assert standing.mark is not None, "nothing has happened to a log that has a mark"
    return _adopt(standing.mark, standing.epochs)


def what_happened(standing: LogState) -> str:
    """CRASH or PROMOTION, after which anybody begins the next epoch; ELSEWHERE or LONG_SILENT,
    after which an operator does; or nothing."""
    if not standing.epochs:
        return CRASH if standing.mark is None else ""
    latest = standing.epochs[-1]
    if latest.database != standing.database or _differ(
        latest.system_identifier, standing.system_identifier
    ):
        return ELSEWHERE
    if standing.mark is not None:
        return ""
    if latest.timeline is not None and latest.timeline == standing.timeline:
        return CRASH
    return LONG_SILENT if standing.silent > SILENCE.total_seconds() else PROMOTION


def sentence(standing: LogState, why: str) -> str:
    latest = standing.epochs[-1]
    if why == LONG_SILENT:
        what = (
            f"PostgreSQL is on timeline {standing.timeline}, the log was on {latest.timeline}, and"
            f" nothing was written for {standing.silent / 60:.0f} minutes: an earlier state of it"
            " was restored."
        )
    else:
        what = (
            f"The log is not where it was: system {standing.system_identifier}, database"
            f" {standing.database}; it was written in system {latest.system_identifier}, database"
            f" {latest.database}. It was restored or copied."
        )
    return f"{what} What it lacks has to be seen to first: manage.py after_restore"


def begin(
    reason: str, detail: str = "", *, whole: int | None = None, over: int | None = None
) -> int:
    """Begin the next epoch, unless there is one already that is not `over`. Returns the mark of the
    present one.

    whole: nothing behind this position is known to be whole.
    """
    params = [over, reason, detail, whole]
    if transaction.get_connection().in_atomic_block:
        with postgres.beside() as beside:
            ((begun,),) = beside.rows(BEGIN, params)
    else:
        ((begun,),) = postgres.rows(BEGIN, params)
    standing = ask()
    latest = standing.epochs[-1]
    if latest.mark == begun:
        logger.warning(
            "epoch %s of the log begins (%s): intact up to %s, last event %s, new events after %s",
            latest.number, latest.reason, latest.intact, latest.last, latest.first,
        )  # fmt: skip
    return _adopt(int(begun), standing.epochs)


def went_back(stream: str, *, remembered: int) -> None:
    """Somebody remembers more of a stream than the log has: it has lost something, and the server
    does not know."""
    from . import search as finding

    logger.warning(
        "%s is remembered at version %s, which the log does not have: it went back",
        stream,
        remembered,
    )
    ((started,),) = postgres.rows(STARTED)
    # A copy from before its server started holds nothing of that epoch that was recorded later.
    whole = finding.position_at(started) - 1
    begin(
        WENT_BACK,
        f"{stream} was remembered at version {remembered}, which the log does not have.",
        whole=max(whole, 0),
        over=known_mark() or ask().mark,
    )


def ask() -> LogState:
    """One query."""
    ((mark, system, database, timeline, silent, epochs),) = postgres.rows(LOG_STATE)
    told = msgspec.json.decode(epochs or "[]", type=tuple[Epoch, ...])
    return LogState(mark, system, database, timeline, silent or 0.0, told)


def lost_behind(position: int, epochs: Sequence[Epoch]) -> Epoch | None:
    """The epoch in whose beginning a position may have been lost; None where nothing was lost up to
    it.

    Positions are never given twice: each epoch has its own, far above those of the one before.
    """
    lost = [each for each in epochs if each.number > 1 and each.intact < position <= each.first]
    return min(lost, key=lambda each: each.intact, default=None)


def beyond_gap(position: int) -> int:
    """Where a cursor may stand that would stand where no position was ever given, and far from any
    that will be."""
    gaps = [
        each.first for each in history() if each.number > 1 and each.last < position <= each.first
    ]
    return max(gaps, default=position)


def given(after: int, until: int) -> int:
    """How many positions between these two were given out, at most."""
    gaps = (min(until, each.first) - max(after, each.last) for each in history() if each.number > 1)
    return until - after - sum(max(0, gap) for gap in gaps)


def asks_first() -> bool:
    """Whether a call that this log has not made may have been made all the same: then its provider
    is asked for it by its key first. For as long as a client may come back with the wish that it
    followed from."""
    since = timezone.now() - settings.response_retention()
    return any(each.may_have_lost and each.began_at > since for each in history())


def demand() -> None:
    """For a process that is to serve. Raises LogRestored; where the tables are not there yet,
    nothing is asked."""
    try:
        renew()
    except ProgrammingError as error:
        logger.warning("the epoch of the log cannot be asked for: %s", error)


def _adopt(mark: int, epochs: tuple[Epoch, ...]) -> int:
    global _known
    if _known is not None and _known.mark != mark:
        logger.warning("the log has begun another epoch: what was remembered of it is dropped")
        forget()
    _known = _Known(mark, epochs, time.monotonic())
    return mark


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other


def _ask_again(connection: Any, **_: Any) -> None:
    """A new connection may lead to another server: to the standby that has taken over, or to what
    was restored."""
    if _known is not None and connection is connections[DEFAULT_DB_ALIAS]:
        demand()


connection_created.connect(_ask_again)
