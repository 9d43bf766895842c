"""Read-your-writes: a client names the version it has seen and never gets an older state."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from eventstore import log, settings
from eventstore.log import epochs
from eventstore.projections import freshness
from eventstore.projections.freshness import PRIMARY, Progress, RowAndProgress

from . import requests
from .errors import HEADER, Fault, Hidden, Malformed, all_of

VERSION, POSITION, RESTARTED = "X-Min-Version", "Min-Position", "Restarted-After"
READ_MODEL, EVENT_LOG = "read-model", "event-log"

# Read models usually follow within 50 ms, so a long wait polls less and less often.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.2
# A list cannot be folded from the log, so it waits even without `Prefer: wait`.
LIST_WAIT_SECONDS = 1.0

# The requests of this process that wait, by user: each of them occupies a thread.
_lock = Lock()
_waiting: Counter[str] = Counter()


class NotThereYet(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "Neither the read model nor the event log has reached this version yet."


class ReadModelBehind(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The read model has not reached this position yet. Retry in a moment."
    wait = 1


class TooManyWait(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "Too many requests are waiting for the read model. Retry in a moment."
    wait = 1


class MinimumVersion(NamedTuple):
    """version: of the row's stream. position: in the log. wait: seconds for which the client lets
    the read model catch up.

    who: the user; waiting requests are limited for each user.
    restarted_after: if the log may have lost what the client has seen, the position up to which
    nothing was lost. Then the version is not required, and the position is this one.
    """

    version: int | None
    position: int | None
    wait: float | None
    who: str = ""
    restarted_after: int | None = None

    @property
    def anything(self) -> bool:
        return self.version is not None or self.position is not None

    def in_read_model(self, seen: RowAndProgress) -> bool:
        return (
            self.version is None or (seen.row is not None and seen.row.version >= self.version)
        ) and (self.position is None or seen.standing.holds(self.position))

    def in_log(self, row: Any) -> bool:
        return (self.version is None or row.version >= self.version) and (
            self.position is None or self.position <= freshness.last_given()
        )


# For views that show the events of a row: of the row itself they only need that it exists.
FROM_THE_LOG = MinimumVersion(version=1, position=None, wait=None)


class Found(NamedTuple):
    """row: None when there is none. source: READ_MODEL or EVENT_LOG."""

    row: Any
    source: str


# Called with the progress of the read model each time it is read, so that the response headers have
# it even if the query fails.
Note = Callable[[Progress], None]


def wanted(request: Request) -> MinimumVersion:
    """What the request's headers demand. Raises Malformed."""
    seconds = requests.preferred_wait(request)
    version, position = all_of(
        lambda: requests.number(request, VERSION, 9),
        lambda: requests.number(request, POSITION, 18),
    )
    minimum = MinimumVersion(
        version,
        position,
        None if seconds is None else min(seconds, settings.longest_wait()),
        str(request.user.pk),
    )
    if minimum.position and (lost := epochs.lost_behind(minimum.position, epochs.recent())):
        return minimum._replace(version=None, position=lost.intact, restarted_after=lost.intact)
    return minimum


def row(
    model: type[Any],
    key: str,
    wanted: MinimumVersion,
    may_see: Callable[[Any], bool],
    *,
    note: Note,
) -> Found:
    """The row, in the minimum version at least.

    Raises NotThereYet if even the log has not reached the minimum, TooManyWait if it has not and
    the request could not wait, and Hidden if the user may not see the row.
    """
    seen = freshness.look(model, key)
    note(seen.standing)
    if not wanted.anything or wanted.in_read_model(seen):
        return Found(_visible(seen.row, may_see), READ_MODEL)
    # Checked before waiting: a client does not wait for a row that does not exist or that it may
    # not see.
    recorded = _visible(freshness.recorded(model, key), may_see)
    if recorded is None:
        return Found(None, EVENT_LOG)
    with _room(wanted.who, wanted.wait or 0) as seconds:
        for _ in _polls(seconds):
            seen = freshness.look(model, key)
            note(seen.standing)
            if wanted.in_read_model(seen):
                return Found(seen.row, READ_MODEL)
    recorded = freshness.recorded(model, key) if seconds else recorded
    if not wanted.in_log(recorded):
        raise TooManyWait if wanted.wait and not seconds else NotThereYet
    return Found(recorded, EVENT_LOG)


def row_as_of(
    model: type[Any],
    key: str,
    moment: Mapping[str, Any],
    may_see: Callable[[Any], bool],
    *,
    note: Note,
) -> Found:
    """The row in a past version or at a past time. Raises Hidden if the user may not see it."""
    note(freshness.standing(model, using=settings.query_database()))
    return Found(_visible(freshness.as_of(model, key, **moment), may_see), EVENT_LOG)


def database_for_list(model: type[Any], wanted: MinimumVersion, *, note: Note) -> str:
    """The database whose read model has reached the minimum position: the replica if possible.
    Raises ReadModelBehind or NotThereYet if none reaches it within the wait."""
    for _ in _attempts(wanted):
        for database in dict.fromkeys((settings.query_database(), PRIMARY)):
            standing = freshness.standing(model, using=database)
            note(standing)
            if wanted.position is None or standing.holds(wanted.position):
                return database
    raise _not_yet(wanted)


def end_for_pages(wanted: MinimumVersion) -> int:
    """The high-water mark: the position up to which the log can be read in pages without missing an
    event.

    Raises ReadModelBehind if an open transaction keeps it below the minimum position for the whole
    wait, and NotThereYet if that position does not exist yet.
    """
    for _ in _attempts(wanted):
        fence = log.fence()
        if wanted.position is None or wanted.position <= fence:
            return fence
    raise _not_yet(wanted)


def _attempts(wanted: MinimumVersion) -> Iterator[None]:
    """One at once, then one after each pause until the wait is over."""
    # With a position, the version says nothing more: a response to a command has both, and clients
    # send them back together.
    if wanted.version is not None and wanted.position is None:
        detail = f"A list has no single version. Use {POSITION} instead."
        raise Malformed(Fault(VERSION, detail, "invalid", HEADER))
    yield None
    wait = LIST_WAIT_SECONDS if wanted.wait is None else wanted.wait
    with _room(wanted.who, wait) as seconds:
        yield from _polls(seconds)


@contextmanager
def _room(user: str, seconds: float) -> Iterator[float]:
    """The seconds for which the request may wait: 0 if the user, or all users together, have as
    many waiting requests as the settings allow."""
    with _lock:
        has_room = (
            seconds > 0
            and _waiting.total() < settings.most_waiting()
            and _waiting[user] < settings.most_waiting_per_user()
        )
        if has_room:
            _waiting[user] += 1
    if not has_room:
        yield 0.0
        return
    try:
        yield seconds
    finally:
        with _lock:
            _waiting[user] -= 1
            if not _waiting[user]:
                del _waiting[user]


def _polls(seconds: float) -> Iterator[None]:
    until, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
    while time.monotonic() < until:
        time.sleep(pause)
        pause = min(pause * 1.25, LONGEST_PAUSE_SECONDS)
        yield


def _not_yet(wanted: MinimumVersion) -> APIException:
    assert wanted.position is not None, "a list without a minimum position is always fresh enough"
    return NotThereYet() if wanted.position > freshness.last_given() else ReadModelBehind()


def _visible(row: Any, may_see: Callable[[Any], bool]) -> Any:
    if row is not None and not may_see(row):
        raise Hidden
    return row
