"""The errors of the log: why an append is refused."""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from django.db import DatabaseError, IntegrityError
from psycopg.errors import Diagnostic

from eventstore import codec

from . import epochs

LAST_VERSION = 2**31 - 1

# Primary keys by which the database refuses a position that is in use, where the append function
# did not check it.
KEYS_OF_POSITIONS = ("eventstore_event_pkey", "eventstore_outbox_pkey")


class WrongExpectedVersion(Exception):
    """Another writer was first (optimistic concurrency). expected, actual: versions of the stream;
    0 for no stream."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream} was expected at version {expected} and is at {actual}.")
        self.stream, self.expected, self.actual = stream, expected, actual


class EventIdTaken(Exception):
    """The log already has an event with this id in another place, or the append has the id
    twice."""


class InvalidStreamName(ValueError):
    """A stream name has the form `category-identity`: up to 63 lower-case letters, and up to 200
    characters."""

    def __init__(self, stream: object) -> None:
        name = repr(stream[:300] if isinstance(stream, str) else stream)
        super().__init__(
            f"Invalid stream name {name}: expected `category-identity` without control characters."
        )
        self.stream = stream


class InvalidAppend(ValueError):
    """The arguments are invalid whatever the log holds: an invalid expected version, ids that do
    not match the events, an object that is not an event, or versions of a stream with a gap."""


class StreamFull(Exception):
    """The stream would exceed LAST_VERSION."""


class PositionPassed(Exception):
    """The sequence of positions is behind the log or a cursor, as after a restore without
    sequences. Events written there would never be delivered, so nothing was written.

    `manage.py restart_sequence` repairs it.
    """

    def __init__(self, position: int | None = None, reached: int | None = None) -> None:
        where = f"position {position}, but {reached} is" if position else "a position that is"
        super().__init__(
            f"The sequence eventstore_position returned {where} already in use or read. An event"
            " there would never be delivered, so nothing was written. Move the sequence ahead of"
            " the log: manage.py restart_sequence."
        )
        self.position, self.reached = position, reached


def translate(error: DatabaseError) -> Exception | None:
    """The log's own error for a database error; None if there is none."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        return None
    if epochs.is_over(error):
        return epochs.over()
    if make := OF_STATE.get(cause.sqlstate or ""):
        return make(cause.diag)
    if isinstance(error, IntegrityError):
        if cause.diag.constraint_name in KEYS_OF_POSITIONS:
            return PositionPassed()
        if "eventstore_event_id" in str(error):
            return EventIdTaken(str(error))
    return None


def _sentence(diagnosis: Diagnostic) -> str:
    message = diagnosis.message_primary or ""
    return f"{message[:1].upper()}{message[1:]}."


def _details(diagnosis: Diagnostic) -> dict[str, Any]:
    details: dict[str, Any] = codec.decode_json(diagnosis.message_detail or "{}")
    return details


# SQLSTATE -> our error. Our own SQL functions raise those that begin with ES.
OF_STATE: Mapping[str, Callable[[Diagnostic], Exception]] = {
    "ES001": lambda diagnosis: WrongExpectedVersion(**_details(diagnosis)),
    "ES011": lambda diagnosis: PositionPassed(**_details(diagnosis)),
    "ES013": lambda diagnosis: InvalidAppend(_sentence(diagnosis)),
    # numeric_value_out_of_range
    "22003": lambda diagnosis: StreamFull(f"A stream cannot have a version after {LAST_VERSION}."),
}
