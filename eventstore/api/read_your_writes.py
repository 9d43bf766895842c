"""Read your own write: a client says what it has seen happen, and is never told of an earlier
time."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from eventstore import log, settings
from eventstore.log import epochs
from eventstore.projections import freshness
from eventstore.projections.freshness import PRIMARY, Progress, RowAndProgress

from . import prefer as preferences
from . import waiting
from .errors import Fault, Hidden, Malformed

VERSION, POSITION, RESTARTED = "X-Min-Version", "Min-Position", "Restarted-After"
READ_MODEL, EVENT_LOG = "read-model", "event-log"

# Read models usually follow within 50 ms; who waits longer looks less often.
LOOK_AGAIN_SECONDS, LOOK_SELDOM_SECONDS = 0.02, 0.2
# A list cannot be folded from the log, so it waits without being asked to.
LISTS_WAIT_SECONDS = 1.0


class NotThereYet(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "Nothing has come so far yet: neither the read model nor the log itself."


class ReadModelBehind(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The list does not hold yet what you have seen. Try again in a moment."
    wait = 1


class TooManyWait(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "Too many requests wait already, yours or others'. Try again in a moment."
    wait = 1


class MinimumVersion(NamedTuple):
    """version: of the row's stream. position: in the log. wait: seconds that the client would give
    the read model.

    who: the user, whose waiting requests are counted together.
    restarted_after: where what the client has seen may have been lost, the position up to which
    nothing was; then neither the version nor the position is waited for.
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


# For who tells of a row by its events, and needs no more of the row than that it is there.
FROM_THE_LOG = MinimumVersion(version=1, position=None, wait=None)


class Found(NamedTuple):
    """row: None when there is none. source: which side it came from."""

    row: Any
    source: str


# Told where the read model stands each time it is asked, so that it is known however the asking
# ends.
Note = Callable[[Progress], None]


def wanted(request: Request) -> MinimumVersion:
    seconds = preferences.wait(request)
    wait = None if seconds is None else min(seconds, settings.longest_wait())
    wanted = MinimumVersion(
        _number(request, VERSION, 9), _number(request, POSITION, 18), wait, str(request.user.pk)
    )
    if wanted.position and (lost := epochs.lost_behind(wanted.position, epochs.recent())):
        return wanted._replace(version=None, position=lost.intact, restarted_after=lost.intact)
    return wanted


def row(
    model: type[Any],
    key: str,
    wanted: MinimumVersion,
    may_see: Callable[[Any], bool],
    *,
    note: Note,
) -> Found:
    """Raises NotThereYet for what has not happened at all, TooManyWait where it was not waited for,
    and Hidden for what the user may not see."""
    seen = _look(model, key, note)
    if not wanted.anything or wanted.in_read_model(seen):
        return Found(_shown(seen.row, may_see), READ_MODEL)
    # First of all whether there is such a thing: nobody is kept waiting for what is not there, or
    # not theirs.
    recorded = _shown(freshness.recorded(model, key), may_see)
    if recorded is None:
        return Found(None, EVENT_LOG)
    with waiting.room(wanted.who, wanted.wait or 0) as seconds:
        for _ in _while_waiting(seconds):
            seen = _look(model, key, note)
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
    """Raises Hidden for what the user may not see."""
    note(freshness.standing(model, using=settings.query_database()))
    return Found(_shown(freshness.as_of(model, key, **moment), may_see), EVENT_LOG)


def database_for_list(model: type[Any], wanted: MinimumVersion, *, note: Note) -> str:
    """Which database has a list as fresh as is wanted. Raises ReadModelBehind when none has, within
    the wait."""
    for _ in _turns(wanted):
        for database in dict.fromkeys((settings.query_database(), PRIMARY)):
            standing = freshness.standing(model, using=database)
            note(standing)
            if wanted.position is None or standing.holds(wanted.position):
                return database
    raise _not_yet(wanted)


def end_for_pages(wanted: MinimumVersion) -> int:
    """Up to where the log may be told in pages: whoever goes on behind a position misses nothing
    before it.

    Raises ReadModelBehind while a transaction that is still open holds it back before what is
    wanted.
    """
    for _ in _turns(wanted):
        fence = log.fence()
        if wanted.position is None or wanted.position <= fence:
            return fence
    raise _not_yet(wanted)


def _look(model: type[Any], key: str, note: Note) -> RowAndProgress:
    seen = freshness.look(model, key)
    note(seen.standing)
    return seen


def _turns(wanted: MinimumVersion) -> Iterator[None]:
    """One, and more while the client waits."""
    if wanted.version is not None:
        raise Malformed(Fault(VERSION, f"A list is of many streams; say {POSITION}.", "invalid"))
    yield None
    with waiting.room(
        wanted.who, LISTS_WAIT_SECONDS if wanted.wait is None else wanted.wait
    ) as seconds:
        yield from _while_waiting(seconds)


def _not_yet(wanted: MinimumVersion) -> APIException:
    assert wanted.position is not None, "whoever wants nothing has been answered"
    return NotThereYet() if wanted.position > freshness.last_given() else ReadModelBehind()


def _shown(row: Any, may_see: Callable[[Any], bool]) -> Any:
    if row is not None and not may_see(row):
        raise Hidden
    return row


def _while_waiting(seconds: float) -> Iterator[None]:
    until, pause = time.monotonic() + seconds, LOOK_AGAIN_SECONDS
    while time.monotonic() < until:
        time.sleep(pause)
        pause = min(pause * 1.25, LOOK_SELDOM_SECONDS)
        yield


def _number(request: Request, header: str, digits: int) -> int | None:
    given = request.headers.get(header)
    if given is None:
        return None
    if not re.fullmatch(rf"[0-9]{{1,{digits}}}", given):
        raise Malformed(Fault(header, f"A whole number of at most {digits} digits.", "invalid"))
    return int(given)
