"""Deferred commands (`Prefer: respond-async`, RFC 7240): enqueued for a worker, with their
outcome."""

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

# The value of Metadata.reply_to for commands of clients, instead of the name of a saga.
CLIENT = "eventstore.client"

RECORD = """
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
    UPDATE eventstore_deferred_command AS deferred
    SET status = settled.status, version = settled.version, position = settled.position,
        code = settled.code, detail = settled.detail, settled_at = now()
    FROM settled
    WHERE deferred.id = ANY(ARRAY(SELECT id FROM settled)) AND deferred.id = settled.id
"""
# A command that failed at every attempt is a dead letter of its subscription, the first one parked
# under its key.
FIND = """
    SELECT principal, location,
           CASE WHEN status = 'PENDING' AND EXISTS (
               SELECT
               FROM eventstore_parked_heads(deferred.subscription, ARRAY[deferred.key]) AS head
               CROSS JOIN LATERAL (
                   SELECT status FROM eventstore_parked WHERE id = head.id LIMIT 1
               ) AS parked
               CROSS JOIN LATERAL (
                   SELECT id FROM eventstore_outbox WHERE position = head.place LIMIT 1
               ) AS message
               WHERE parked.status = 'dead' AND message.id = deferred.id
           ) THEN 'FAILED' ELSE status END,
           version, position, code, detail
    FROM eventstore_deferred_command AS deferred
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
    """principal: who sent it. location: the URL of the resource it is about. status: PENDING,
    SUCCEEDED, REFUSED or FAILED.

    version, position: what the client must see in queries after it succeeded. code, detail: of the
    rejection.
    """

    principal: str
    location: str
    status: str
    version: int
    position: int
    code: str
    detail: str


class CommandResult(msgspec.Struct, frozen=True):
    """The outcome of a deferred command; fields as in DeferredCommand."""

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
    """Enqueue the command for its context, and record its sender in the same commit.

    write: takes the command's id and the outgoing messages, and puts them into the outbox.
    """
    outgoing = log.outgoing(command, metadata=metadata)
    outgoing = msgspec.structs.replace(
        outgoing, metadata=replace(outgoing.metadata, reply_to=CLIENT, reply_key=str(outgoing.id))
    )
    with atomic():
        execute(RECORD, [outgoing.id, principal, location, outgoing.topic, outgoing.key]).close()
        # Last, because an append holds the fence, and so all readers, until the commit.
        write(outgoing.id, [outgoing])
    transaction.on_commit(wakeup.wake_workers)
    return outgoing.id


def settle(results: Sequence[CommandResult]) -> None:
    """Record the outcomes, in the transaction that wrote the events."""
    if results:
        execute(SETTLE, [codec.encode_json(results).decode()]).close()


def find(id_: UUID) -> DeferredCommand | None:
    found = rows(FIND, [id_])
    return DeferredCommand(*found[0]) if found else None


def forget(*, older_than: timedelta) -> None:
    execute(FORGET, [older_than]).close()
