"""Answers given under an idempotency key: what is asked twice is done once, and answered twice
alike."""

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

# Where the position goes that only the append knows; the one member of that name in the body.
OPEN_POSITION = '"position":null'


class StoredResponse(msgspec.Struct, frozen=True):
    """What goes back to the client, to the letter."""

    status: int
    headers: dict[str, str]
    body: str

    def at(self, position: int) -> "StoredResponse":
        return msgspec.structs.replace(
            self, body=self.body.replace(OPEN_POSITION, f'"position":{position}')
        )


class IdempotencyKey(NamedTuple):
    """scope: who asked, method, address and the client's key, with blanks between. fingerprint: of
    what was asked."""

    scope: str
    fingerprint: str


class AlreadyAnswered(Exception):
    """Somebody asked the same a moment ago, and has this answer."""

    def __init__(self, answer: StoredResponse) -> None:
        super().__init__("This was asked and answered before.")
        self.answer = answer


class StillRunning(Exception):
    """A request with this idempotency key is being answered just now. Try again."""


class KeyReused(Exception):
    """This idempotency key was used for another request. Use a new key for each wish."""


def find(key: IdempotencyKey) -> StoredResponse | None:
    """What was answered under the key. Raises KeyReused when something else was asked."""
    found = rows(FIND, [key.scope])
    return _earlier(key, found[0][0]) if found else None


def keep(key: IdempotencyKey, answer: StoredResponse) -> None:
    """Keep an answer to which nothing was written, such as a refusal. Raises as write does."""
    write(key, answer, (), ())


def write(
    key: IdempotencyKey,
    answer: StoredResponse,
    events: Sequence[NewEvent],
    messages: Sequence[OutgoingMessage],
    condition: AppendCondition | None = None,
) -> Appended:
    """Write, and keep the answer in the same commit. Raises AlreadyAnswered, StillRunning or
    KeyReused; then nothing was written."""
    row = {"scope": key.scope, "fingerprint": key.fingerprint} | msgspec.structs.asdict(answer)
    written = log.write_once(codec.encode_json(row).decode(), events, messages, condition)
    if written.running:
        raise StillRunning
    if written.earlier is not None:
        raise AlreadyAnswered(_earlier(key, written.earlier))
    return written.appended


def forget(*, older_than: timedelta) -> int:
    """Delete what is older, in batches; returns how many rows were deleted."""
    return delete_older(FORGET, older_than, batch=BATCH)


def _earlier(key: IdempotencyKey, given: str) -> StoredResponse:
    row = codec.decode_json(given)
    if row["fingerprint"] != key.fingerprint:
        raise KeyReused
    return StoredResponse(row["status"], row["headers"], row["body"])
