"""Stored responses by idempotency key: a repeated request is executed once and gets the same
response (draft-ietf-httpapi-idempotency-key-header)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec

from eventstore import codec, log
from eventstore.log import AppendCondition, Appended, NewEvent, OutgoingMessage
from eventstore.postgres import delete_older, rows

FIND = "SELECT row_to_json(given)::text FROM eventstore_stored_response AS given WHERE scope = %s"
FORGET = """
    DELETE FROM eventstore_stored_response
    WHERE scope = ANY(ARRAY(
        SELECT scope
        FROM eventstore_stored_response
        WHERE stored_at < now() - %s
        ORDER BY stored_at
        LIMIT %s
    ))
"""
BATCH = 10_000

# If only some tables were restored, stored responses may refer to lost events.
FORGET_LOST = """
    DELETE FROM eventstore_stored_response
    WHERE status = 202 AND (body::json->>'position')::bigint > %s
        AND (body::json->>'position')::bigint <= %s
    RETURNING scope
"""


class StoredResponse(msgspec.Struct, frozen=True):
    """The response to the client, byte for byte. The append that stores it replaces
    "position":null in the body by its own position (eventstore_append_once.sql)."""

    status: int
    headers: dict[str, str]
    body: str


class IdempotencyKey(NamedTuple):
    """scope: principal, method, URL and the client's key, separated by spaces. fingerprint: of the
    request."""

    scope: str
    fingerprint: str


class AlreadyAnswered(Exception):
    """An identical request was answered a moment ago. answer: its response."""

    def __init__(self, answer: StoredResponse) -> None:
        super().__init__("This request was answered before.")
        self.answer = answer


class StillRunning(Exception):
    """A request with this idempotency key is still running. Retry later."""


class KeyReused(Exception):
    """This idempotency key was used for a different request. Use a new key for each request."""


def find(key: IdempotencyKey) -> StoredResponse | None:
    """The response stored under the key. Raises KeyReused if it answers a different request."""
    found = rows(FIND, [key.scope])
    return _load(key, found[0][0]) if found else None


def keep(key: IdempotencyKey, answer: StoredResponse) -> None:
    """Store a response without writing events, such as a rejection. Raises as write does."""
    write(key, answer, (), ())


def write(
    key: IdempotencyKey,
    answer: StoredResponse,
    events: Sequence[NewEvent],
    messages: Sequence[OutgoingMessage],
    condition: AppendCondition | None = None,
) -> Appended:
    """Write, and store the response in the same commit. Raises AlreadyAnswered, StillRunning or
    KeyReused; then nothing was written."""
    row = {"scope": key.scope, "fingerprint": key.fingerprint} | msgspec.structs.asdict(answer)
    written = log.write_once(codec.encode_json(row).decode(), events, messages, condition)
    if written.running:
        raise StillRunning
    if written.earlier is not None:
        raise AlreadyAnswered(_load(key, written.earlier))
    return written.appended


def forget(*, older_than: timedelta) -> int:
    """Delete older responses, in batches. Returns the number of deleted rows."""
    return delete_older(FORGET, older_than, batch=BATCH)


def _load(key: IdempotencyKey, stored: str) -> StoredResponse:
    row = codec.decode_json(stored)
    if row["fingerprint"] != key.fingerprint:
        raise KeyReused
    return StoredResponse(row["status"], row["headers"], row["body"])


def forget_lost(*, after: int, until: int) -> int:
    """Delete the stored responses that refer to positions which a restore has lost. Returns how
    many."""
    return len(rows(FORGET_LOST, [after, until]))
