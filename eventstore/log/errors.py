"""Why the store refuses, each reason with a name of its own."""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from django.db import DatabaseError, IntegrityError
from psycopg.errors import Diagnostic

from eventstore import codec

from . import epochs

LAST_VERSION = 2**31 - 1

# A position that a row has already; by its table's key, where the append itself did not come to see
# it.
KEYS_OF_POSITIONS = ("eventstore_event_pkey", "eventstore_outbox_pkey")


class WrongExpectedVersion(Exception):
    """Another writer was first (optimistic concurrency). expected and actual are stream versions; 0
    is no stream."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream} was expected at version {expected} and is at {actual}.")
        self.stream, self.expected, self.actual = stream, expected, actual


class EventIdTaken(Exception):
    """An event of this id is in the log already, in another place than this append would give it,
    or is in it twice."""


class InvalidStreamName(ValueError):
    """A stream is called `category-identity`: a word of up to 63 letters in lower case, and up to
    200 characters."""

    def __init__(self, stream: object) -> None:
        named = repr(stream[:300] if isinstance(stream, str) else stream)
        super().__init__(
            f"{named} is no name for a stream: `category-identity`, with no control characters."
        )
        self.stream = stream


class InvalidAppend(ValueError):
    """Wrong whatever is in the log: an expectation that is none, ids that do not match, something
    that is no event, versions of a stream that do not follow one another."""


class StreamFull(Exception):
    """A stream has no versions left: it ends at LAST_VERSION."""


class PositionPassed(Exception):
    """The sequence of positions is behind what was read or used, as after a restore without
    sequences: what is written there would never be delivered. Nothing was written. `manage.py
    restart_sequence` mends it."""

    def __init__(self, position: int | None = None, reached: int | None = None) -> None:
        where = f"position {position} and {reached} is" if position else "a position that is"
        super().__init__(
            f"The sequence eventstore_position gave out {where} read or used already: an event"
            " there would never be delivered. Nothing was written. Put the sequence ahead of the"
            " log: manage.py restart_sequence."
        )
        self.position, self.reached = position, reached


def named(error: DatabaseError) -> Exception | None:
    """The store's own error for one of the database's; None for one that is the database's
    alone."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        return None
    if epochs.is_over(error):
        return epochs.over()
    if ours := OF_STATE.get(cause.sqlstate or ""):
        return ours(cause.diag)
    if isinstance(error, IntegrityError):
        if cause.diag.constraint_name in KEYS_OF_POSITIONS:
            return PositionPassed()
        if "eventstore_event_id" in str(error):
            return EventIdTaken(str(error))
    return None


def _sentence(diagnosis: Diagnostic) -> str:
    said = diagnosis.message_primary or ""
    return f"{said[:1].upper()}{said[1:]}."


def _details(diagnosis: Diagnostic) -> dict[str, Any]:
    details: dict[str, Any] = codec.decode_json(diagnosis.message_detail or "{}")
    return details


# SQLSTATE -> what it is called here. Those that begin with ES are raised by our own functions.
OF_STATE: Mapping[str, Callable[[Diagnostic], Exception]] = {
    "ES001": lambda diagnosis: WrongExpectedVersion(**_details(diagnosis)),
    "ES011": lambda diagnosis: PositionPassed(**_details(diagnosis)),
    "ES013": lambda diagnosis: InvalidAppend(_sentence(diagnosis)),
    # numeric_value_out_of_range
    "22003": lambda diagnosis: StreamFull(f"A stream cannot have a version after {LAST_VERSION}."),
}
