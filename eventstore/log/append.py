"""Append to streams: any number of events, streams and owed messages in one round trip."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError

from eventstore import codec, limits, postgres
from eventstore.messages import Event, Metadata
from eventstore.postgres import rows

from . import context, epochs
from .envelopes import ANY, NewEvent, OutgoingMessage, check_ids, check_versions, new_events
from .errors import InvalidAppend, named

logger = logging.getLogger(__name__)

APPEND_ONE = "SELECT eventstore_append_one(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
APPEND = "SELECT positions, versions FROM eventstore_append(%s::json, %s::json)"
APPEND_OPEN = "SELECT positions, versions FROM eventstore_append_open(%s::json, %s::json)"
APPEND_ONCE = (
    "SELECT running, earlier, positions, versions FROM eventstore_append_once(%s::jsonb, %s::json,"
    " %s::json)"
)
# The events go through the condition on their way, so that these are locked and looked at first.
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
    """What an append did. position: of its last event in the log, 0 if it had none. versions: each
    stream's last.

    positions: of every event, in the order in which they were given.
    """

    position: int
    versions: Mapping[str, int]
    positions: Sequence[int] = ()


class AppendCondition(NamedTuple):
    """What a decision was made on beside the streams that it writes. epoch: the mark of the one in
    which it was read or remembered; None where nothing was.

    versions: of streams that are not written, which must be their last ones until this is
    committed; or STREAM_EXISTS.
    """

    epoch: int | None
    versions: Mapping[str, int]


class WrittenOnce(NamedTuple):
    """running: somebody else writes under the same scope just now. earlier: the answer that stands
    there, as JSON."""

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
    """Append to one stream. expected: an exact version, NO_STREAM, STREAM_EXISTS or ANY. ids: one
    for each event.

    With the same ids and expectation again, nothing is written and the first answer comes back. Of
    no events, only the expectation is looked at.
    Raises WrongExpectedVersion, EventIdTaken, InvalidStreamName, InvalidAppend, StreamFull,
    PositionPassed, postgres.NotReadCommitted, limits.Unstorable, registry.UnknownType.
    """
    return append_all({stream: (expected, events)}, metadata=metadata, ids=ids)


def append_all(
    streams: Mapping[str, tuple[int, Sequence[Event]]],
    *,
    metadata: Metadata | None = None,
    ids: Sequence[UUID] | None = None,
) -> Appended:
    """Append to several streams, all or nothing. streams: name -> (expected version, events). ids:
    one for each event, in the order of the streams and of their events. Raises as append does."""
    metadata = metadata or context.current()
    given = iter(ids) if ids is not None else None
    new: list[NewEvent] = []
    condition: dict[str, int] = {}
    for stream, each in streams.items():
        expected, events = _parts(stream, each)
        new += new_events(stream, events, expected=expected, metadata=metadata, ids=given)
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
    """One round trip, for any number of events, streams and outbox rows.

    premises: what was read and is not written. Raises as append does, and epochs.EpochOver where
    they are of an epoch that is over.
    """
    if not events and not messages and not condition:
        return Appended(0, {})
    is_open = any(event.version is None for event in events)
    if condition:
        statement = APPEND_OPEN_ON_CONDITION if is_open else APPEND_ON_CONDITION
        params = [
            condition.epoch,
            _locked(events, condition.versions),
            _json(events),
            _json(messages),
        ]
    elif len(events) == 1 and not messages and (appended := _written_alone(*events)):
        return appended
    else:
        statement, params = APPEND_OPEN if is_open else APPEND, [_json(events), _json(messages)]
    check_versions(events)
    positions, versions = _written(statement, params, repeatable=bool(events) or not messages)
    return _appended(events, messages, positions, versions)


def write_once(
    answer: str,
    events: Sequence[NewEvent],
    messages: Sequence[OutgoingMessage] = (),
    condition: AppendCondition | None = None,
) -> WrittenOnce:
    """As write, unless there is an answer of the same scope; else this one is kept in the same
    commit.

    answer: a row of GivenAnswer as JSON. No event leaves its version open.
    """
    check_versions(events)
    if condition:
        statement = APPEND_ONCE_ON_CONDITION
        params = [
            condition.epoch,
            _locked(events, condition.versions),
            _json(events),
            answer,
            _json(messages),
        ]
    else:
        statement, params = APPEND_ONCE, [answer, _json(events), _json(messages)]
    running, earlier, positions, versions = _written(statement, params, repeatable=True)
    if running or earlier:
        return WrittenOnce(running, earlier, Appended(0, {}))
    return WrittenOnce(running, earlier, _appended(events, messages, positions, versions))


def take_announced() -> set[str]:
    """The event types and topics that this process has written since it was last asked; a hint for
    who delivers."""
    announced = set(_announced)
    _announced.clear()
    return announced


def _parts(stream: str, given: tuple[int, Sequence[Event]]) -> tuple[int, Sequence[Event]]:
    try:
        expected, events = given
    except (TypeError, ValueError):
        raise InvalidAppend(f"{stream} has {given!r}, not (expected version, events).") from None
    return expected, events


def _written_alone(event: NewEvent) -> Appended | None:
    """The short way for what a command decides most often. None: to be written the long way, which
    can say why not."""
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
            limits.encode(event.metadata, "Metadata").decode(),
        ],
        repeatable=True,
    )
    if position is None:
        return None
    _announced.add(event.type)
    return Appended(position, {event.stream: event.version}, [position])


def _written(statement: str, params: Sequence[Any], *, repeatable: bool) -> tuple[Any, ...]:
    try:
        return _asked(statement, params, repeatable=repeatable)
    except DatabaseError as error:
        if ours := named(error):
            raise ours from error
        raise


def _asked(statement: str, params: Sequence[Any], *, repeatable: bool) -> tuple[Any, ...]:
    """An answer that is lost with its connection may have been a yes: said again, the same ids have
    the same answer.

    Not within a transaction, which was lost with it: only who began it can say all of it again.
    """
    repeatable = repeatable and not postgres.in_transaction()
    try:
        return _answer(statement, params)
    except (OperationalError, InterfaceError):
        if not (repeatable and postgres.forget_if_lost()):
            raise
        logger.warning("the connection broke during an append, which is said again", exc_info=True)
        return _answer(statement, params)
    except DatabaseError as error:
        # Nothing is appended to a log that may have lost something before its next epoch has begun.
        if not epochs.is_over(error) or postgres.in_transaction():
            raise
        epochs.renew()
        return _answer(statement, params)


def _answer(statement: str, params: Sequence[Any]) -> tuple[Any, ...]:
    (answer,) = rows(statement, params)
    return answer


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


def _json(items: Sequence[msgspec.Struct]) -> str | None:
    return limits.encode(items, "An append").decode() if items else None


def _locked(events: Sequence[NewEvent], condition: Mapping[str, int]) -> str:
    """What eventstore_check_condition locks: the streams that are written stand without a
    version."""
    written: dict[str, int | None] = dict.fromkeys(event.stream for event in events)
    return codec.encode_json(written | dict(condition)).decode()
