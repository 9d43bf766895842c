"""Answers given under an idempotency key: what is asked twice is done once, and answered twice alike."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec

from eventstore import codec, log
from eventstore.log import Appended, NewEvent, Owed, Premises
from eventstore.postgres import delete_older, rows

FIND = "SELECT row_to_json(given)::text FROM eventstore_given_answer AS given WHERE scope = %s"
FORGET = """
    DELETE FROM eventstore_given_answer
    WHERE scope = ANY(ARRAY(
        SELECT scope
        FROM eventstore_given_answer
        WHERE given_at < now() - %s
        ORDER BY given_at
        LIMIT %s
    ))
"""
BATCH = 10_000

# Where the position goes that only the append knows; the one member of that name in the body.
OPEN_POSITION = '"position":null'


class Answer(msgspec.Struct, frozen=True):
    """What goes back to the client, to the letter."""

    status: int
    headers: dict[str, str]
    body: str

    def at(self, position: int) -> "Answer":
        return msgspec.structs.replace(self, body=self.body.replace(OPEN_POSITION, f'"position":{position}'))


class Key(NamedTuple):
    """scope: who asked, method, address and the client's key, with blanks between. fingerprint: of what was asked."""

    scope: str
    fingerprint: str


class AlreadyAnswered(Exception):
    """Somebody asked the same a moment ago, and has this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("This was asked and answered before.")
        self.answer = answer


class StillRunning(Exception):
    """A request with this idempotency key is being answered just now. Try again."""


class KeyReused(Exception):
    """This idempotency key was used for another request. Use a new key for each wish."""


def find(key: Key) -> Answer | None:
    """What was answered under the key. Raises KeyReused when something else was asked."""
    found = rows(FIND, [key.scope])
    return _earlier(key, found[0][0]) if found else None


def keep(key: Key, answer: Answer) -> None:
    """Keep an answer to which nothing was written, such as a refusal. Raises as write does."""
    write(key, answer, (), ())


def write(
    key: Key,
    answer: Answer,
    events: Sequence[NewEvent],
    messages: Sequence[Owed],
    premises: Premises | None = None,
) -> Appended:
    """Write, and keep the answer in the same commit. Raises AlreadyAnswered, StillRunning or KeyReused; then nothing
    was written."""
    row = {"scope": key.scope, "fingerprint": key.fingerprint} | msgspec.structs.asdict(answer)
    written = log.write_once(codec.encode_json(row).decode(), events, messages, premises)
    if written.running:
        raise StillRunning
    if written.earlier is not None:
        raise AlreadyAnswered(_earlier(key, written.earlier))
    return written.appended


def forget(*, older_than: timedelta) -> int:
    """Delete what is older, in batches; returns how many rows were deleted."""
    return delete_older(FORGET, older_than, batch=BATCH)


def _earlier(key: Key, given: str) -> Answer:
    row = codec.decode_json(given)
    if row["fingerprint"] != key.fingerprint:
        raise KeyReused
    return Answer(row["status"], row["headers"], row["body"])
