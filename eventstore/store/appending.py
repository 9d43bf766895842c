"""Append to streams: any number of events, streams and owed messages in one round trip."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, transaction
from uuid_utils.compat import uuid7

from .. import bounds, codec, context, epochs, registry
from ..messages import Command, Event, Metadata, replace
from ..postgres import forget_if_lost, rows

logger = logging.getLogger(__name__)

ANY = -1
STREAM_EXISTS = -2
NO_STREAM = 0

APPEND_ONE = "SELECT eventstore_append_one(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
APPEND = "SELECT positions, versions FROM eventstore_append(%s::json, %s::json)"
APPEND_OPEN = "SELECT positions, versions FROM eventstore_append_open(%s::json, %s::json)"
APPEND_ONCE = "SELECT running, earlier, positions, versions FROM eventstore_append_once(%s::jsonb, %s::json, %s::json)"
# The events go through the premises on their way, so that these are looked at first.
APPEND_ON_PREMISES = """
    SELECT positions, versions
    FROM eventstore_on_premises(%s, %s::json, %s::json) AS given(events),
         eventstore_append(given.events, %s::json)
"""
APPEND_ONCE_ON_PREMISES = """
    SELECT running, earlier, positions, versions
    FROM eventstore_on_premises(%s, %s::json, %s::json) AS given(events),
         eventstore_append_once(%s::jsonb, given.events, %s::json)
"""

_announced: set[str] = set()

# Well below what an index entry may hold, and nothing that a log line or a URL would trip over.
CATEGORY = re.compile(r"[a-z][a-z0-9_]{0,62}")
STREAM_NAME = re.compile(CATEGORY.pattern + r"-[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")

# What is stored beside the ids of a message's metadata, where there is any.
NOTES = ("actor", "trace", "command")

LAST_VERSION = 2**31 - 1
NUMERIC_VALUE_OUT_OF_RANGE = "22003"


class WrongExpectedVersion(Exception):
    """Another writer was first (optimistic concurrency). expected and actual are stream versions; 0 is no stream."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream} was expected at version {expected} and is at {actual}.")
        self.stream, self.expected, self.actual = stream, expected, actual


class EventIdTaken(Exception):
    """An event of this id is in the log already, in another place than this append would give it."""


class InvalidStreamName(ValueError):
    """A stream is called `category-identity`: a word of up to 63 letters in lower case, and up to 200 characters."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"{stream[:300]!r} is no name for a stream: `category-identity`, with no control characters.")
        self.stream = stream


class StreamFull(Exception):
    """A stream has no versions left: it ends at LAST_VERSION."""


class NewEvent(msgspec.Struct, frozen=True):
    """An event on its way into the log. expected is set on the first one of each stream only."""

    stream: str
    version: int | None
    expected: int | None
    id: UUID
    type: str
    schema_version: int
    data: msgspec.Raw
    correlation_id: UUID
    causation_id: UUID | None
    metadata: dict[str, str]


class Owed(msgspec.Struct, frozen=True):
    """A message on its way into the outbox: a command for a context, or word for one saga."""

    topic: str
    key: str
    type: str
    id: UUID
    payload: msgspec.Raw
    metadata: Metadata


class Appended(NamedTuple):
    """What an append did. position: of its last event in the log. versions: each stream's last."""

    position: int
    versions: Mapping[str, int]


class Premises(NamedTuple):
    """What a decision was made on without a look at the log. epoch: the mark of the one in which it was remembered.

    versions: of streams that are not written to, which must be their last ones.
    """

    epoch: int
    versions: Mapping[str, int]


class WrittenOnce(NamedTuple):
    """running: somebody else writes under the same scope just now. earlier: the answer that stands there, as JSON."""

    running: bool
    earlier: str | None
    appended: Appended


def append(
    stream: str,
    events: Sequence[Event],
    *,
    expected: int,
    metadata: Metadata | None = None,
    ids: Sequence[UUID] | None = None,
) -> Appended:
    """Append to one stream. expected: an exact version, NO_STREAM, STREAM_EXISTS or ANY.

    With the same ids and expectation again, nothing is written and the first answer comes back.
    Raises WrongExpectedVersion, EventIdTaken, InvalidStreamName, StreamFull, bounds.Unstorable, registry.UnknownType.
    """
    given, metadata = iter(ids) if ids else None, metadata or context.current()
    return write(new_events(stream, events, expected=expected, metadata=metadata, ids=given))


def append_all(
    streams: Mapping[str, tuple[int, Sequence[Event]]],
    *,
    metadata: Metadata | None = None,
    ids: Sequence[UUID] | None = None,
) -> Appended:
    """Append to several streams, all or nothing. streams: name -> (expected version, events)."""
    metadata = metadata or context.current()
    given = iter(ids) if ids else None
    new = [
        each
        for stream, (expected, events) in streams.items()
        for each in new_events(stream, events, expected=expected, metadata=metadata, ids=given)
    ]
    return write(new)


def new_events(
    stream: str,
    events: Sequence[Event],
    *,
    expected: int,
    metadata: Metadata,
    ids: Iterator[UUID] | None = None,
    continues: bool = False,
) -> list[NewEvent]:
    """Envelopes for one stream. continues: an earlier part of the same write carries the expectation already."""
    _check_name(stream)
    if expected + len(events) > LAST_VERSION:
        raise StreamFull(f"{stream} cannot have a version after {LAST_VERSION}.")
    notes = {name: value for name in NOTES if (value := getattr(metadata, name))}
    return [
        NewEvent(
            stream=stream,
            version=expected + step if expected >= 0 else None,
            expected=expected if expected < 0 or (step == 1 and not continues) else None,
            id=(ids and next(ids, None)) or uuid7(),
            type=(name := registry.name_of(event)),
            schema_version=registry.schema_version_of(name),
            data=codec.encode(event),
            correlation_id=metadata.correlation_id,
            causation_id=metadata.causation_id,
            metadata=notes,
        )
        for step, event in enumerate(events, start=1)
    ]


def owed(command: Command, *, metadata: Metadata) -> Owed:
    """A command on its way to its context's lane; the stream it is about keeps its order there."""
    name = registry.name_of(command)
    stream = registry.decision_for(command).streams(command)[0]
    _check_name(stream)
    return Owed(
        registry.topic_of(command), stream, name, uuid7(), codec.encode(command), replace(metadata, command=name)
    )


def word(saga: str, key: str, event: Event, *, metadata: Metadata) -> Owed:
    """A message for one saga alone, about the process of that key."""
    return Owed(saga, key, registry.name_of(event), uuid7(), codec.encode(event), metadata)


def write(events: Sequence[NewEvent], messages: Sequence[Owed] = (), premises: Premises | None = None) -> Appended:
    """One round trip, for any number of events, streams and outbox rows.

    premises: where it was decided without a look at the log; then no event leaves its own version open.
    Raises epochs.EpochOver where they are of an epoch that is over.
    """
    if not events and not messages:
        return Appended(0, {})
    if premises:
        remembered = [premises.epoch, _versions(premises.versions)]
        statement, params = APPEND_ON_PREMISES, [*remembered, _json(events), _json(messages)]
    elif len(events) == 1 and not messages and (appended := _written_alone(*events)):
        return appended
    else:
        statement = APPEND_OPEN if any(event.version is None for event in events) else APPEND
        params = [_json(events), _json(messages)]
    positions, versions = _written(statement, params, repeatable=bool(events))
    return _appended(events, messages, positions, versions)


def write_once(
    answer: str,
    events: Sequence[NewEvent],
    messages: Sequence[Owed] = (),
    premises: Premises | None = None,
) -> WrittenOnce:
    """As write, unless there is an answer of the same scope; else this one is kept in the same commit.

    answer: a row of GivenAnswer as JSON. No event leaves its version open.
    """
    if premises:
        remembered = [premises.epoch, _versions(premises.versions)]
        statement, params = APPEND_ONCE_ON_PREMISES, [*remembered, _json(events), answer, _json(messages)]
    else:
        statement, params = APPEND_ONCE, [answer, _json(events), _json(messages)]
    running, earlier, positions, versions = _written(statement, params, repeatable=True)
    if running or earlier:
        return WrittenOnce(running, earlier, Appended(0, {}))
    return WrittenOnce(running, earlier, _appended(events, messages, positions, versions))


def take_announced() -> set[str]:
    """The event types and topics that this process has written since it was last asked; a hint for who delivers."""
    announced = set(_announced)
    _announced.clear()
    return announced


def _check_name(stream: str) -> None:
    if not STREAM_NAME.fullmatch(stream):
        raise InvalidStreamName(stream)


def _written_alone(event: NewEvent) -> Appended | None:
    """The short way for what a command decides most often. None: to be written the long way, which can say why not."""
    if event.version is None:
        return None
    (position,) = _written(
        APPEND_ONE,
        [
            event.stream,
            event.version,
            event.id,
            event.type,
            event.schema_version,
            str(event.data, "utf-8"),
            event.correlation_id,
            event.causation_id,
            bounds.encode(event.metadata, "Metadata").decode(),
        ],
        repeatable=True,
    )
    if position is None:
        return None
    _announced.add(event.type)
    return Appended(position, {event.stream: event.version})


def _written(statement: str, params: Sequence[Any], *, repeatable: bool) -> tuple[Any, ...]:
    try:
        return _asked(statement, params, repeatable=repeatable)
    except DatabaseError as error:
        if named := _named(error):
            raise named from error
        raise


def _asked(statement: str, params: Sequence[Any], *, repeatable: bool) -> tuple[Any, ...]:
    """An answer that is lost with its connection may have been a yes: said again, the same ids have the same answer."""
    try:
        return _answer(statement, params)
    except (OperationalError, InterfaceError):
        if not (repeatable and forget_if_lost()):
            raise
        logger.warning("the connection broke during an append, which is said again", exc_info=True)
        return _answer(statement, params)
    except DatabaseError as error:
        # Nothing is appended to a log that may have lost something before its next epoch has begun.
        if not epochs.is_over(error) or transaction.get_connection().in_atomic_block:
            raise
        epochs.renew()
        return _answer(statement, params)


def _answer(statement: str, params: Sequence[Any]) -> tuple[Any, ...]:
    (answer,) = rows(statement, params)
    return answer


def _appended(
    events: Sequence[NewEvent], messages: Sequence[Owed], positions: Sequence[int], versions: Sequence[int]
) -> Appended:
    _announced.update(event.type for event in events)
    _announced.update(message.topic for message in messages)
    if not events:
        return Appended(0, {})
    return Appended(positions[-1], dict(zip((event.stream for event in events), versions, strict=True)))


def _json(items: Sequence[msgspec.Struct]) -> str | None:
    return bounds.encode(items, "An append").decode() if items else None


def _versions(premises: Mapping[str, int]) -> str:
    return codec.encode_json(premises).decode()


def _named(error: DatabaseError) -> Exception | None:
    cause = error.__cause__
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    if state == epochs.OVER:
        return epochs.over()
    if isinstance(cause, psycopg.Error) and state == "ES001":
        return WrongExpectedVersion(**codec.decode_json(cause.diag.message_detail or "{}"))
    if state == NUMERIC_VALUE_OUT_OF_RANGE:
        return StreamFull(f"A stream cannot have a version after {LAST_VERSION}.")
    if isinstance(error, IntegrityError) and "eventstore_event_id" in str(error):
        return EventIdTaken(str(error))
    return None
