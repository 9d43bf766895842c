"""Cursors over the outbox: claim one, read what lies between it and the fence, move it."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from django.db import transaction

from . import codec, registry
from .messages import Message, Metadata
from .postgres import execute, rows

# The cursor of who takes snapshots: a lane beside those of the wiring.
SNAPSHOTS = "eventstore.snapshots"

ENLIST = """
    INSERT INTO eventstore_subscription (name)
    SELECT unnest(%s::text[])
    ON CONFLICT DO NOTHING
"""
# The fence may fall back behind a cursor: an appender that was stopped between its look at the sequence and its lock
# holds an old number. What was passed stays passed.
CLAIM = """
    SELECT position, greatest(position, eventstore_fence()), eventstore_has_parked(name)
    FROM eventstore_subscription
    WHERE name = %s AND NOT paused
    FOR UPDATE SKIP LOCKED
"""
HOLD = """
    SELECT
    FROM eventstore_subscription
    WHERE name = %s
    FOR UPDATE
"""
COLUMNS = """
    outbox.position, coalesce(event.id, outbox.id), outbox.key, coalesce(event.version, 0), outbox.type,
    coalesce(event.schema_version, 1), coalesce(event.data, outbox.payload),
    event.correlation_id, event.causation_id, coalesce(event.metadata, outbox.metadata),
    coalesce(event.recorded_at, outbox.created_at)
"""
# A lane reads all but what it is known not to hear: an event of a type that only newer code knows may concern it.
READ = f"""
    SELECT {COLUMNS}
    FROM eventstore_outbox AS outbox
    LEFT JOIN eventstore_event AS event ON event.position = outbox.position AND outbox.topic = 'event'
    WHERE outbox.position > %s AND outbox.position <= %s
      AND (outbox.topic = %s OR (outbox.topic = 'event' AND outbox.type <> ALL(%s)))
    ORDER BY outbox.position
    LIMIT %s
"""
READ_AT = f"""
    SELECT {COLUMNS}
    FROM eventstore_outbox AS outbox
    LEFT JOIN eventstore_event AS event ON event.position = outbox.position AND outbox.topic = 'event'
    WHERE outbox.position = ANY(%s)
    ORDER BY outbox.position
"""
MOVE = """
    UPDATE eventstore_subscription
    SET position = %s, moved_at = now()
    WHERE name = %s
"""
# A lane has work when something it hears lies ahead, when a parked message is due, or when so much that it does not
# hear lies ahead that passing over it again and again would cost more than moving the cursor.
WORK = """
    WITH fence AS MATERIALIZED (SELECT eventstore_fence() AS position)
    SELECT name
    FROM eventstore_subscription AS lane, fence
    WHERE NOT paused AND name = ANY(%s) AND (
        EXISTS (
            SELECT FROM eventstore_outbox AS outbox
            WHERE outbox.position > lane.position AND outbox.position <= fence.position
              AND (outbox.topic = lane.name OR (outbox.topic = 'event' AND EXISTS (
                  SELECT FROM unnest(%s::text[], %s::text[]) AS hears(name, type)
                  WHERE hears.name = lane.name AND hears.type = outbox.type
              )))
        )
        OR EXISTS (
            SELECT FROM eventstore_parked AS parked WHERE parked.subscription = lane.name AND parked.due_at <= now()
        )
        OR fence.position - lane.position > 2000
    )
"""


class Claim(NamedTuple):
    """position: the cursor. fence: how far may be read. parked: whether anything waits beside the lane."""

    position: int
    fence: int
    parked: bool


def enlist() -> None:
    """Give every subscription of the wiring its cursor, at the beginning of the log."""
    execute(ENLIST, [[*registry.subscriptions(), SNAPSHOTS]]).close()


def work() -> set[str]:
    """The lanes that have something to do; one query."""
    names = list(registry.subscriptions())
    pairs = [(name, stored) for name in names for stored in hears(name)]
    params = [names, [name for name, _ in pairs], [stored for _, stored in pairs]]
    return {name for (name,) in rows(WORK, params)}


def claim(name: str) -> Claim | None:
    """Lock the lane's cursor for this transaction; None when it is paused or another worker has it."""
    found = rows(CLAIM, [name])
    return Claim(*found[0]) if found else None


def hold(name: str) -> None:
    """Wait for the lane's cursor and lock it for this transaction, paused or not."""
    execute(HOLD, [name]).close()


def read(name: str, claimed: Claim, limit: int) -> list[Message]:
    params = [claimed.position, claimed.fence, name, _unheard(name), limit]
    return [_message(name, row) for row in rows(READ, params)]


def read_at(name: str, positions: Sequence[int]) -> list[Message]:
    return [_message(name, row) for row in rows(READ_AT, [list(positions)])] if positions else []


def move(name: str, position: int) -> None:
    assert transaction.get_connection().in_atomic_block, "The cursor moves in the commit of what it is the receipt of."
    execute(MOVE, [position, name]).close()


def hears(name: str) -> Sequence[str]:
    """The stored names of the events that a subscription hears, those of the past included."""
    today = [registry.name_heard(name, cls) for cls in registry.subscriptions()[name].hears]
    return [*today, *(past for past, now in registry.renamed().items() if now in today)]


@cache
def _unheard(name: str) -> list[str] | None:
    """The stored names that a subscription does not hear; None for one that hears no events, of whatever type."""
    heard = hears(name)
    return [each for each in (*registry.types(), *registry.renamed()) if each not in heard] if heard else None


def _message(name: str, row: tuple[Any, ...]) -> Message:
    position, id_, key, version, type_, schema_version, data, correlation_id, causation_id, notes, at = row
    metadata = codec.metadata(correlation_id, causation_id, notes) if version else codec.decoder(Metadata)(notes)
    return Message(
        position=position,
        id=id_,
        stream=key,
        version=version,
        type=type_,
        body=_body(name, type_, schema_version, data),
        metadata=metadata,
        recorded_at=at,
    )


def _body(name: str, type_: str, schema_version: int, data: str) -> Any:
    """The message, or the error that kept it from being read: delivery parks that one and goes on."""
    try:
        return registry.decode_for(name, type_, schema_version, data)
    except (registry.UnknownType, codec.Undecodable) as error:
        return error
