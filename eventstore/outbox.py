"""Cursors over the outbox: claim one, read what lies between it and the fence, move it."""

from collections.abc import Sequence
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
CLAIM = """
    SELECT position, eventstore_fence(), EXISTS (SELECT FROM eventstore_parked WHERE subscription = name)
    FROM eventstore_subscription
    WHERE name = %s AND NOT paused
    FOR UPDATE SKIP LOCKED
"""
COLUMNS = """
    outbox.position, coalesce(event.id, outbox.id), outbox.key, coalesce(event.version, 0), outbox.type,
    coalesce(event.schema_version, 1), coalesce(event.data, outbox.payload),
    event.correlation_id, event.causation_id, coalesce(event.metadata, outbox.metadata),
    coalesce(event.recorded_at, outbox.created_at)
"""
READ = f"""
    SELECT {COLUMNS}
    FROM eventstore_outbox AS outbox
    LEFT JOIN eventstore_event AS event ON event.position = outbox.position AND outbox.topic = 'event'
    WHERE outbox.position > %s AND outbox.position <= %s
      AND (outbox.topic = %s OR (outbox.topic = 'event' AND outbox.type = ANY(%s)))
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


def read(name: str, claimed: Claim, limit: int) -> list[Message]:
    return [_message(row) for row in rows(READ, [claimed.position, claimed.fence, name, list(hears(name)), limit])]


def read_at(positions: Sequence[int]) -> list[Message]:
    return [_message(row) for row in rows(READ_AT, [list(positions)])] if positions else []


def move(name: str, position: int) -> None:
    assert transaction.get_connection().in_atomic_block, "The cursor moves in the commit of what it is the receipt of."
    execute(MOVE, [position, name]).close()


def hears(name: str) -> Sequence[str]:
    """The stored names of the events that a subscription hears."""
    return [registry.name_of_class(cls) for cls in registry.subscriptions()[name].hears]


def _message(row: tuple[Any, ...]) -> Message:
    position, id_, key, version, type_, schema_version, data, correlation_id, causation_id, notes, at = row
    if version:
        metadata = Metadata(correlation_id, causation_id, **codec.decode_json(notes))
    else:
        metadata = codec.decoder(Metadata)(notes)
    return Message(
        position=position,
        id=id_,
        stream=key,
        version=version,
        type=type_,
        body=_body(type_, schema_version, data),
        metadata=metadata,
        recorded_at=at,
    )


def _body(type_: str, schema_version: int, data: str) -> Any:
    """The message, or the error that kept it from being read: delivery parks that one and goes on."""
    try:
        return registry.decode(type_, schema_version, data)
    except (registry.UnknownType, codec.Undecodable) as error:
        return error
