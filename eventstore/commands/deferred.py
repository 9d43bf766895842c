"""Commands that clients left with us: owed to their context's subscription, and what became of
each."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import transaction

from eventstore import codec, log
from eventstore.log import OutgoingMessage
from eventstore.messages import Command, Metadata, replace
from eventstore.outbox import wakeup
from eventstore.postgres import atomic, execute, rows

# Whom the subscription answers instead of a saga.
CLIENT = "eventstore.client"

NOTE = """
    INSERT INTO eventstore_deferred_command (id, principal, location, subscription, key)
    VALUES (%s, %s, %s, %s, %s)
"""
SETTLE = """
    WITH settled AS MATERIALIZED (
        SELECT *
        FROM jsonb_to_recordset(%s::jsonb) AS settled(
            id uuid, status text, version integer, position bigint, code text, detail text
        )
    )
    UPDATE eventstore_deferred_command AS kept
    SET status = settled.status, version = settled.version, position = settled.position,
        code = settled.code, detail = settled.detail, settled_at = now()
    FROM settled
    WHERE kept.id = ANY(ARRAY(SELECT id FROM settled)) AND kept.id = settled.id
"""
# What no worker could decide, however often, lies parked as a dead letter of its subscription, the
# first under its key.
FIND = """
    SELECT principal, location,
           CASE WHEN status = 'PENDING' AND EXISTS (
               SELECT
               FROM eventstore_parked_heads(kept.subscription, ARRAY[kept.key]) AS head
               CROSS JOIN LATERAL (SELECT status FROM eventstore_parked WHERE id = head.id
                   LIMIT 1) AS parked
               CROSS JOIN LATERAL (SELECT id FROM eventstore_outbox WHERE position = head.place
                   LIMIT 1) AS owed
               WHERE parked.status = 'dead' AND owed.id = kept.id
           ) THEN 'FAILED' ELSE status END,
           version, position, code, detail
    FROM eventstore_deferred_command AS kept
    WHERE id = %s
"""
FORGET = """
    DELETE FROM eventstore_deferred_command
    WHERE id = ANY(ARRAY(
        SELECT id
        FROM eventstore_deferred_command
        WHERE deferred_at < now() - %s
        ORDER BY deferred_at
    )) AND status <> 'PENDING'
"""


class DeferredCommand(NamedTuple):
    """principal: who left it. location: where to ask about its subject. status: PENDING, SUCCEEDED,
    REFUSED or FAILED.

    version, position: what the client has to have seen when it succeeded. code, detail: of the
    refusal.
    """

    principal: str
    location: str
    status: str
    version: int
    position: int
    code: str
    detail: str


class CommandResult(msgspec.Struct, frozen=True):
    """What became of one; see Left."""

    id: str
    status: str
    version: int = 0
    position: int = 0
    code: str = ""
    detail: str = ""


def defer(
    command: Command,
    *,
    metadata: Metadata,
    principal: str,
    location: str,
    write: Callable[[UUID, Sequence[OutgoingMessage]], Any],
) -> UUID:
    """Owe the command to its context, in one commit with the note of who left it. write: its id and
    what is owed -> how that gets into the outbox."""
    outgoing = log.outgoing(command, metadata=metadata)
    outgoing = msgspec.structs.replace(
        outgoing, metadata=replace(outgoing.metadata, reply_to=CLIENT, reply_key=str(outgoing.id))
    )
    with atomic():
        execute(NOTE, [outgoing.id, principal, location, outgoing.topic, outgoing.key]).close()
        # Last, as whoever has appended holds everybody's view of the log back until the commit.
        write(outgoing.id, [outgoing])
    transaction.on_commit(wakeup.wake_workers)
    return outgoing.id


def settle(settled: Sequence[CommandResult]) -> None:
    """Note what became of them, in the transaction that recorded it."""
    if settled:
        execute(SETTLE, [codec.encode_json(settled).decode()]).close()


def find(id_: UUID) -> DeferredCommand | None:
    found = rows(FIND, [id_])
    return DeferredCommand(*found[0]) if found else None


def forget(*, older_than: timedelta) -> None:
    execute(FORGET, [older_than]).close()
