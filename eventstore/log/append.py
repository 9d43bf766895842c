"""Append to streams: any number of events, streams and outgoing messages in one round trip."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError

from eventstore import codec, postgres
from eventstore.messages import Event, Metadata
from eventstore.postgres import rows

from . import context, epochs, errors
from .envelopes import ANY, NewEvent, OutgoingMessage, check_ids, check_versions, new_events
from .errors import InvalidAppend

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

_announced: set[str] = set()


class Appended(NamedTuple):
    """The result of an append. position: of its last event in the log; 0 if it had none. versions:
    the last version of each stream.

    positions: of all events, in the order in which they were given.
    """

    position: int
    versions: Mapping[str, int]
    positions: Sequence[int] = ()


class AppendCondition(NamedTuple):
    """What a decision read besides the streams that it writes; the append is refused if it has
    changed. Compare DCBAppendCondition of the Python library eventsourcing.

    epoch: the mark of the epoch in which it was read or cached; None where nothing was read.
    versions: streams that are not written -> the version that must still be their last one when
    this append commits, or STREAM_EXISTS.
    """

    epoch: int | None
    versions: Mapping[str, int]


class WrittenOnce(NamedTuple):
    """running: another transaction is writing under the same scope. earlier: the response stored
    for the scope, as JSON."""

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
    metadata = metadata or context.current()
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
        codec.encode_value(event.metadata, "Metadata").decode(),
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
    return codec.encode_value(items, "An append").decode() if items else None
