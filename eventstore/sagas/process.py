"""Run a batch of messages through a saga: load its states, react, and write the states together
with the commands to send."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from eventstore import codec, log, results
from eventstore.log import audit
from eventstore.messages import INTERNAL, Command, DeadlinePassed, Intervened, Message, Metadata
from eventstore.postgres import execute, rows
from eventstore.subscriptions import Saga

LOAD = """
    SELECT found.key, found.state, found.position, found.schema_version
    FROM unnest(%s::text[]) AS requested(key)
    CROSS JOIN LATERAL (
        SELECT *
        FROM eventstore_saga
        WHERE saga = %s AND eventstore_saga.key = requested.key
        LIMIT 1
    ) AS found
"""
SAVE = """
    INSERT INTO eventstore_saga (saga, schema_version, key, status, state, position, correlation_id,
        deadline_at)
    SELECT %s, %s, key, status, state, position, correlation_id,
           now() + make_interval(secs => deadline)
    FROM jsonb_to_recordset(%s::jsonb) AS changed(
        key text, status text, state jsonb, position bigint, correlation_id uuid,
        deadline double precision
    )
    ON CONFLICT (saga, key) DO UPDATE
    SET status = EXCLUDED.status, state = EXCLUDED.state, position = EXCLUDED.position,
        schema_version = EXCLUDED.schema_version, correlation_id = EXCLUDED.correlation_id,
        deadline_at = EXCLUDED.deadline_at, updated_at = now()
"""
TAKE_DUE = """
    UPDATE eventstore_saga
    SET deadline_at = NULL
    WHERE id = ANY(ARRAY(
        SELECT id FROM eventstore_saga WHERE deadline_at <= now() ORDER BY deadline_at LIMIT %s
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING saga, key, correlation_id, now(), position
"""


class NewerState(LookupError):
    """Newer code than this wrote the state of the process; the message waits for that code."""


class SagaChange(msgspec.Struct, frozen=True):
    key: str
    status: str
    state: Any
    position: int
    correlation_id: UUID
    deadline: float | None


class Sent(NamedTuple):
    """A command of a saga. metadata: names the saga, which gets the reply."""

    command: Command
    metadata: Metadata


def react(name: str, saga: Saga, messages: Sequence[Message]) -> list[Sent]:
    """Write the new states, and return the commands to send, in order."""
    states = load(name, saga, {key_of(saga, message) for message in messages})
    changes: dict[str, SagaChange] = {}
    sent: list[Sent] = []
    for message in messages:
        key = key_of(saga, message)
        state, position = states.get(key, (saga.initial, 0))
        if _is_for_an_earlier_step(name, message, position):
            continue
        function = saga.react[type(message.body)]
        reaction = results.reaction(function, function(state, message.body), saga)
        after: Any = reaction.state  # manage.py check verifies that it has a status
        codec.require_storable(after)
        if after == state and not reaction.commands and reaction.deadline is None:
            continue  # nothing to write; the deadline in the table stays
        states[key] = after, message.position
        changes[key] = SagaChange(
            key=key,
            status=after.status,
            state=after,
            position=message.position,
            correlation_id=message.metadata.correlation_id,
            deadline=reaction.deadline.total_seconds() if reaction.deadline else None,
        )
        metadata = Metadata(
            correlation_id=message.metadata.correlation_id,
            causation_id=message.id if message.version else message.metadata.causation_id,
            actor=name,
            trace=message.metadata.trace,
            reply_to=name,
            reply_key=key,
        )
        sent += [Sent(command, metadata) for command in reaction.commands]
    if changes:
        stored = codec.encode_json(list(changes.values())).decode()
        execute(SAVE, [name, _schema_version(saga), stored]).close()
    return sent


def key_of(saga: Saga, message: Message) -> str:
    return message.stream if type(message.body) in INTERNAL.values() else saga.key(message.body)


def tell_deadlines(limit: int = 500) -> int:
    """Enqueue a message to its saga for each deadline that has passed. Call it in a transaction."""
    due = rows(TAKE_DUE, [limit])
    messages = []
    for saga, key, correlation_id, at, set_at in due:
        metadata = Metadata(correlation_id=correlation_id, actor="deadline")
        passed = DeadlinePassed(key=key, due_at=at, set_at=set_at)
        messages.append(log.saga_message(saga, key, passed, metadata=metadata))
    log.write([], messages)
    return len(due)


def load(name: str, saga: Saga, keys: set[str]) -> dict[str, tuple[Any, int]]:
    """State and position of each process by key. Raises NewerState, codec.Undecodable."""
    found: dict[str, tuple[Any, int]] = {}
    for key, state, position, version in rows(LOAD, [list(keys), name]):
        if version > _schema_version(saga):
            raise NewerState(f"The state has schema version {version}, newer than this code.")
        if version not in saga.upcasters:
            _require_known_fields(type(saga.initial), state)
        read = codec.reader(type(saga.initial), version, saga.upcasters)
        found[key] = read(state), position
    return found


def _require_known_fields(cls: Any, state: str) -> None:
    """A field that was renamed or removed without an upcaster would lose its value."""
    if unknown := codec.members(state) - _fields(cls):
        raise codec.Undecodable(
            f"The stored state has {', '.join(sorted(unknown))}, which {cls.__name__} does not"
            " have. Give the saga an upcaster that renames or drops the field."
        )


@cache
def _fields(cls: Any) -> frozenset[str]:
    return frozenset(cls.__struct_encode_fields__)


def _schema_version(saga: Saga) -> int:
    return max(saga.upcasters, default=0) + 1


def _is_for_an_earlier_step(name: str, message: Message, position: int) -> bool:
    """Whether a deadline or an intervention arrives after its step has ended."""
    match message.body:
        case DeadlinePassed(set_at=step):
            return step != position
        case Intervened(key=key, action=action, who=who, reason=reason, seen_at=step) if (
            step not in (0, position)
        ):
            details = {"seen_at": step, "position": position}
            audit.record(
                who, f"{action} came too late", f"{name} {key}", reason=reason, details=details
            )
            return True
    return False
