"""Append to streams: any number of events, streams and outgoing messages, checked and then written
in one round trip."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError
from uuid_utils.compat import uuid7

from eventstore import codec, postgres, registry
from eventstore.messages import Command, Event, Metadata, replace
from eventstore.postgres import rows

from . import epochs, errors
from .envelopes import (
    ANY,
    STREAM_EXISTS,
    AppendCondition,
    Appended,
    NewEvent,
    OutgoingMessage,
    WrittenOnce,
)
from .errors import LAST_VERSION, EventIdTaken, InvalidAppend, InvalidStreamName, StreamFull

logger = logging.getLogger(__name__)

APPEND_ONE = "SELECT eventstore_append_one(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
APPEND = "SELECT positions, versions FROM eventstore_append(%s::json, %s::json)"
APPEND_OPEN = "SELECT positions, versions FROM eventstore_append_open(%s::json, %s::json)"
APPEND_ONCE = (
    "SELECT running, earlier, positions, versions FROM eventstore_append_once(%s::jsonb, %s::json,"
    " %s::json)"
)
# The events are passed through the function that checks the condition, so that it locks and checks
# before the append.
APPEND_ON_CONDITION = """
    SELECT positions, versions
    FROM eventstore_check_condition(%s, %s::json, %s::json) AS given(events),
         eventstore_append(given.events, %s::json)
"""
APPEND_OPEN_ON_CONDITION = """
    SELECT positions, versions
    FROM eventstore_check_condition(%s, %s::json, %s::json) AS given(events),
         eventstore_append_open(given.events, %s::json)
"""
APPEND_ONCE_ON_CONDITION = """
    SELECT running, earlier, positions, versions
    FROM eventstore_check_condition(%s, %s::json, %s::json) AS given(events),
         eventstore_append_once(%s::jsonb, given.events, %s::json)
"""

# Well below the maximum size of an index entry, and safe in log lines and URLs.
CATEGORY = re.compile(r"[a-z][a-z0-9_]{0,62}")
STREAM_NAME = re.compile(CATEGORY.pattern + r"-[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")

# The fields of Metadata that are stored as JSON, if they are set; ids have columns of their own.
STORED_FIELDS = ("actor", "trace", "command")

# Of the current request; set by eventstore/middleware.py.
bound_metadata: ContextVar[Metadata | None] = ContextVar("eventstore_metadata", default=None)

_announced: set[str] = set()


def append(
    stream: str,
    events: Sequence[Event],
    *,
    expected: int,
    metadata: Metadata | None = None,
    ids: Sequence[UUID] | None = None,
) -> Appended:
    """Append to a stream. expected: a version, NO_STREAM, STREAM_EXISTS or ANY. ids: one per event.

    A repeat with the same ids and the same expected version writes nothing and returns the first
    result. With no events, only the expected version is checked. Raises WrongExpectedVersion,
    EventIdTaken, InvalidStreamName, InvalidAppend, StreamFull, PositionPassed,
    postgres.NotReadCommitted, codec.Unstorable, registry.UnknownType.
    """
    return append_all({stream: (expected, events)}, metadata=metadata, ids=ids)


def append_all(
    streams: Mapping[str, tuple[int, Sequence[Event]]],
    *,
    metadata: Metadata | None = None,
    ids: Sequence[UUID] | None = None,
) -> Appended:
    """Append to several streams, all or nothing. streams: name -> (expected version, events). ids:
    one for each event, in the order of the streams and of their events.

    Raises as append does.
    """
    metadata = metadata or current_metadata()
    given_ids = iter(ids) if ids is not None else None
    new: list[NewEvent] = []
    condition: dict[str, int] = {}
    for stream, pair in streams.items():
        try:
            expected, events = pair
        except (TypeError, ValueError):
            raise InvalidAppend(
                f"Cannot append {pair!r} to {stream}: pass (expected version, events)."
            ) from None
        new += new_events(stream, events, expected=expected, metadata=metadata, ids=given_ids)
        if not events and expected != ANY:
            condition[stream] = expected
    if ids is not None:
        check_ids(ids, len(new))
    return write(new, condition=AppendCondition(None, condition) if condition else None)


def write(
    events: Sequence[NewEvent],
    messages: Sequence[OutgoingMessage] = (),
    condition: AppendCondition | None = None,
) -> Appended:
    """Write any number of events, streams and outgoing messages in one round trip.

    Raises as append does, and epochs.EpochOver where the condition is of an earlier epoch.
    """
    if not events and not messages and not condition:
        return Appended(0, {})
    is_open = any(event.version is None for event in events)
    if condition:
        statement = APPEND_OPEN_ON_CONDITION if is_open else APPEND_ON_CONDITION
        params = [*_condition_params(condition, events), _json(messages)]
    elif len(events) == 1 and not messages and (appended := _append_one(*events)):
        return appended
    else:
        statement, params = APPEND_OPEN if is_open else APPEND, [_json(events), _json(messages)]
    check_versions(events)
    positions, versions = _run(statement, params, repeatable=bool(events) or not messages)
    return _appended(events, messages, positions, versions)


def write_once(
    response: str,
    events: Sequence[NewEvent],
    messages: Sequence[OutgoingMessage] = (),
    condition: AppendCondition | None = None,
) -> WrittenOnce:
    """As write, and store the response in the same commit; unless a response with the same scope is
    stored already, then write nothing.

    response: a row of eventstore_stored_response as JSON. All events must have a version.
    """
    check_versions(events)
    if condition:
        statement = APPEND_ONCE_ON_CONDITION
        params = [*_condition_params(condition, events), response, _json(messages)]
    else:
        statement, params = APPEND_ONCE, [response, _json(events), _json(messages)]
    running, earlier, positions, versions = _run(statement, params, repeatable=True)
    if running or earlier:
        return WrittenOnce(running, earlier, Appended(0, {}))
    return WrittenOnce(running, earlier, _appended(events, messages, positions, versions))


def take_announced() -> set[str]:
    """The event types and topics that this process has written since the last call: a hint for the
    worker which subscriptions have new messages."""
    announced = set(_announced)
    _announced.clear()
    return announced


def current_metadata() -> Metadata:
    """The metadata of the current context, carried from the request to the last effect; or a new
    correlation."""
    return bound_metadata.get() or Metadata(correlation_id=uuid7())


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
    fields = {name: value for name in STORED_FIELDS if (value := getattr(metadata, name))}
    stored = msgspec.Raw(codec.encode_value(fields, "Metadata"))
    new = []
    for number, event in enumerate(events, start=1):
        if not isinstance(event, Event):
            raise InvalidAppend(f"Cannot append {event!r} to {stream}: not an event.")
        type_ = registry.name_of_class(type(event))
        new.append(
            NewEvent(
                stream=stream,
                version=expected + number if expected >= 0 else None,
                expected=expected if expected < 0 or (number == 1 and not continues) else None,
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
    name = registry.name_of_class(type(command))
    stream = registry.decision_for(command).streams(command)[0]
    check_name(stream)
    metadata = replace(metadata, command=name)
    topic, payload = registry.topic_of(command), codec.encode(command)
    return OutgoingMessage(topic, stream, name, uuid7(), payload, metadata)


def saga_message(saga: str, key: str, event: Event, *, metadata: Metadata) -> OutgoingMessage:
    """A message for one saga only, about the process with that key."""
    name = registry.name_of_class(type(event))
    return OutgoingMessage(saga, key, name, uuid7(), codec.encode(event), metadata)


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


def _append_one(event: NewEvent) -> Appended | None:
    """The fast path for the most common append. None: not written; the general function finds out
    why."""
    if event.version is None:
        return None
    params = [
        event.stream,
        event.version,
        event.id,
        event.type,
        event.schema_version,
        str(event.data, "utf-8"),
        event.correlation_id,
        event.causation_id,
        str(event.metadata, "utf-8"),
    ]
    (position,) = _run(APPEND_ONE, params, repeatable=True)
    if position is None:
        return None
    _announced.add(event.type)
    return Appended(position, {event.stream: event.version}, [position])


def _run(statement: str, params: Sequence[Any], *, repeatable: bool) -> tuple[Any, ...]:
    """The one row of the statement's result. Raises the log's own errors."""
    try:
        return _run_with_retry(statement, params, repeatable=repeatable)
    except DatabaseError as error:
        if translated := errors.translate(error):
            raise translated from error
        raise


def _run_with_retry(statement: str, params: Sequence[Any], *, repeatable: bool) -> tuple[Any, ...]:
    """If the connection breaks, the append may or may not be committed. A retry with the same event
    ids has the same result either way.

    No retry in a transaction, which is lost with its connection: only the caller that began it can
    repeat all of it.
    """
    repeatable = repeatable and not postgres.in_transaction()
    try:
        (row,) = rows(statement, params)
    except (OperationalError, InterfaceError):
        if not (repeatable and postgres.forget_if_lost()):
            raise
        logger.warning(
            "connection lost during append; retrying with the same event ids", exc_info=True
        )
        (row,) = rows(statement, params)
    except DatabaseError as error:
        # A log that may have lost events takes no append before its next epoch begins.
        if not epochs.is_over(error) or postgres.in_transaction():
            raise
        epochs.renew()
        (row,) = rows(statement, params)
    return row


def _appended(
    events: Sequence[NewEvent],
    messages: Sequence[OutgoingMessage],
    positions: Sequence[int],
    versions: Sequence[int],
) -> Appended:
    _announced.update(event.type for event in events)
    _announced.update(message.topic for message in messages)
    if not events:
        return Appended(0, {})
    last: dict[str, int] = {}
    for event, version in zip(events, versions, strict=True):
        last[event.stream] = max(version, last.get(event.stream, 0))
    return Appended(max(positions), last, positions)


def _condition_params(condition: AppendCondition, events: Sequence[NewEvent]) -> list[Any]:
    """The arguments of eventstore_check_condition: the epoch, the streams to lock, the events. The
    streams that are written have no version in it."""
    written: dict[str, int | None] = dict.fromkeys(event.stream for event in events)
    streams = codec.encode_json(written | dict(condition.versions)).decode()
    return [condition.epoch, streams, _json(events)]


def _json(items: Sequence[msgspec.Struct]) -> str | None:
    """Raises codec.Unstorable: the key of a message for a saga may be any text."""
    return codec.encode_value(items, "An append").decode() if items else None
