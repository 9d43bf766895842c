"""Envelopes of events and messages to write, checked before they are sent to the database."""

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

# Well below the maximum size of an index entry, and safe in log lines and URLs.
CATEGORY = re.compile(r"[a-z][a-z0-9_]{0,62}")
STREAM_NAME = re.compile(CATEGORY.pattern + r"-[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")

# The fields of Metadata that are stored as JSON, if they are set; ids have columns of their own.
STORED_FIELDS = ("actor", "trace", "command")


class NewEvent(msgspec.Struct, frozen=True):
    """An event to append. expected: set only on the first event of each stream."""

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
    """A message to enqueue in the outbox: a command for a context, or a message for one saga."""

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
    """Envelopes for one stream. ids: the events' ids; where they run out, new ones are made.
    continues: an earlier part of the same write already has the stream's expected version.

    Raises InvalidStreamName, InvalidAppend, StreamFull, registry.UnknownType, codec.Unstorable.
    """
    check_expectation(stream, expected)
    if not isinstance(events, Sequence):
        raise InvalidAppend(f"Cannot append {events!r} to {stream}: not a sequence of events.")
    if expected + len(events) > LAST_VERSION:
        raise StreamFull(f"{stream} cannot have a version after {LAST_VERSION}.")
    if not isinstance(metadata, Metadata):
        raise InvalidAppend(
            f"The metadata of an append to {stream} is {metadata!r}, not messages.Metadata."
        )
    stored = {name: value for name in STORED_FIELDS if (value := getattr(metadata, name))}
    new = []
    for number, event in enumerate(events, start=1):
        if not isinstance(event, Event):
            raise InvalidAppend(f"Cannot append {event!r} to {stream}: not an event.")
        type_ = registry.name_of(event)
        is_first = number == 1 and not continues
        new.append(
            NewEvent(
                stream=stream,
                version=expected + number if expected >= 0 else None,
                expected=expected if expected < 0 or is_first else None,
                id=(next(ids, None) if ids else None) or uuid7(),
                type=type_,
                schema_version=registry.schema_version_of(type_),
                data=codec.encode(event),
                correlation_id=metadata.correlation_id,
                causation_id=metadata.causation_id,
                metadata=stored,
            )
        )
    return new


def outgoing(command: Command, *, metadata: Metadata) -> OutgoingMessage:
    """A command for the subscription of its context. Its key is its own stream, so that commands
    for one stream stay in order."""
    name = registry.name_of(command)
    stream = registry.decision_for(command).streams(command)[0]
    check_name(stream)
    metadata = replace(metadata, command=name)
    topic, payload = registry.topic_of(command), codec.encode(command)
    return OutgoingMessage(topic, stream, name, uuid7(), payload, metadata)


def saga_message(saga: str, key: str, event: Event, *, metadata: Metadata) -> OutgoingMessage:
    """A message for one saga only, about the process with that key."""
    type_, payload = registry.name_of(event), codec.encode(event)
    return OutgoingMessage(saga, key, type_, uuid7(), payload, metadata)


def check_name(stream: str) -> None:
    """Raises InvalidStreamName."""
    if not isinstance(stream, str) or not STREAM_NAME.fullmatch(stream):
        raise InvalidStreamName(stream)


def check_expectation(stream: str, expected: int) -> None:
    """Raises InvalidStreamName, InvalidAppend."""
    check_name(stream)
    if not isinstance(expected, int) or isinstance(expected, bool) or expected < STREAM_EXISTS:
        raise InvalidAppend(
            f"Invalid expected version {expected!r} of {stream}: use an exact version, NO_STREAM"
            " (0), ANY (-1) or STREAM_EXISTS (-2)."
        )


def check_ids(ids: Sequence[UUID], count: int) -> None:
    """Raises InvalidAppend, EventIdTaken."""
    if len(ids) != count:
        raise InvalidAppend(
            f"Got {len(ids)} ids for {count} events: pass one id per event, in the same order."
        )
    if not_uuids := [each for each in ids if not isinstance(each, UUID)]:
        raise InvalidAppend(f"Invalid event id {not_uuids[0]!r}: expected a UUID.")
    if len(set(ids)) < len(ids):
        raise EventIdTaken(f"Two events of one append have the same id: {sorted(map(str, ids))}.")


def check_versions(events: Iterable[NewEvent]) -> None:
    """The versions of each stream must be consecutive. Raises InvalidAppend."""
    last: dict[str, int] = {}
    for event in events:
        if event.version is not None:
            before = last.get(event.stream)
            if before is not None and event.version != before + 1:
                raise InvalidAppend(
                    f"Version {event.version} of {event.stream} follows version {before}."
                )
            last[event.stream] = event.version
