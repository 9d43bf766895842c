"""What is on its way into the log and the outbox, looked at before it is sent."""

import re
from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from eventstore import codec, registry
from eventstore.messages import Command, Event, Metadata, replace

from .errors import LAST_VERSION, EventIdTaken, InvalidAppend, InvalidStreamName, StreamFull

ANY = -1
STREAM_EXISTS = -2
NO_STREAM = 0

# Well below what an index entry may hold, and nothing that a log line or a URL would trip over.
CATEGORY = re.compile(r"[a-z][a-z0-9_]{0,62}")
STREAM_NAME = re.compile(CATEGORY.pattern + r"-[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")

# What is stored beside the ids of a message's metadata, where there is any.
NOTES = ("actor", "trace", "command")


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


class OutgoingMessage(msgspec.Struct, frozen=True):
    """A message on its way into the outbox: a command for a context, or word for one saga."""

    topic: str
    key: str
    type: str
    id: UUID
    payload: msgspec.Raw
    metadata: Metadata


def new_events(
    stream: str,
    events: Sequence[Event],
    *,
    expected: int,
    metadata: Metadata,
    ids: Iterator[UUID] | None = None,
    continues: bool = False,
) -> list[NewEvent]:
    """Envelopes for one stream. continues: an earlier part of the same write carries the
    expectation already.

    Raises InvalidStreamName, InvalidAppend, StreamFull, registry.UnknownType, limits.Unstorable.
    """
    check_expectation(stream, expected)
    _check_events(stream, events)
    if expected + len(events) > LAST_VERSION:
        raise StreamFull(f"{stream} cannot have a version after {LAST_VERSION}.")
    if not isinstance(metadata, Metadata):
        raise InvalidAppend(
            f"The metadata of an append to {stream} is {metadata!r}, not messages.Metadata."
        )
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


def outgoing(command: Command, *, metadata: Metadata) -> OutgoingMessage:
    """A command on its way to its context's subscription; the stream it is about keeps its order
    there."""
    name = registry.name_of(command)
    stream = registry.decision_for(command).streams(command)[0]
    check_name(stream)
    return OutgoingMessage(
        registry.topic_of(command),
        stream,
        name,
        uuid7(),
        codec.encode(command),
        replace(metadata, command=name),
    )


def saga_message(saga: str, key: str, event: Event, *, metadata: Metadata) -> OutgoingMessage:
    """A message for one saga alone, about the process of that key."""
    return OutgoingMessage(
        saga, key, registry.name_of(event), uuid7(), codec.encode(event), metadata
    )


def check_name(stream: str) -> None:
    """Raises InvalidStreamName."""
    if not isinstance(stream, str) or not STREAM_NAME.fullmatch(stream):
        raise InvalidStreamName(stream)


def check_expectation(stream: str, expected: int) -> None:
    """Raises InvalidStreamName, InvalidAppend."""
    check_name(stream)
    if not isinstance(expected, int) or isinstance(expected, bool) or expected < STREAM_EXISTS:
        raise InvalidAppend(
            f"{stream} cannot be expected at version {expected!r}: an exact version, NO_STREAM (0),"
            " ANY (-1) or STREAM_EXISTS (-2)."
        )


def check_ids(ids: Sequence[UUID], count: int) -> None:
    """Raises InvalidAppend, EventIdTaken."""
    if len(ids) != count:
        raise InvalidAppend(
            f"There are {len(ids)} ids for {count} events: one for each, in their order."
        )
    if foreign_types := [each for each in ids if not isinstance(each, UUID)]:
        raise InvalidAppend(f"{foreign_types[0]!r} is no id of an event, which is a UUID.")
    if len(set(ids)) < len(ids):
        raise EventIdTaken(
            f"The same id stands for two events of one append: {sorted(map(str, ids))}."
        )


def check_versions(events: Iterable[NewEvent]) -> None:
    """Whether the versions of each stream follow one another. Raises InvalidAppend."""
    last: dict[str, int] = {}
    for event in events:
        if event.version is not None:
            before = last.get(event.stream)
            if before is not None and event.version != before + 1:
                raise InvalidAppend(
                    f"Version {event.version} of {event.stream} comes after version {before}."
                )
            last[event.stream] = event.version


def _check_events(stream: str, events: Sequence[Event]) -> None:
    if not isinstance(events, Sequence):
        raise InvalidAppend(
            f"What is appended to {stream} is {events!r}, not a sequence of events."
        )
    for event in events:
        if not isinstance(event, Event):
            raise InvalidAppend(f"What is appended to {stream} is {event!r}, which is no event.")
