"""Parked messages: those that a subscription's cursor has passed and that are not settled. They
have failed, wait in order behind a failed one, or are calls in progress."""

import random
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from eventstore.codec import encode_json
from eventstore.postgres import execute, rows
from eventstore.subscriptions import Unprocessable

ATTEMPTS = 12
LONGEST_DELAY = 300.0

# This table is empty most of the time, and its statistics may say so while it has thousands of
# rows. So SQL functions (sql/functions/eventstore_parked_*.sql) find the ids of rows, each by one
# certain index, and the statements work on these ids. Further conditions are written so that no
# index seems to serve for them: (…) IS TRUE, position + 0.
HELD = "SELECT key FROM eventstore_parked_heads(%s, %s)"
PARK = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts, due_at, error,
        traceback)
    SELECT %s, position, key, status, attempts, now() + make_interval(secs => delay), error,
        traceback
    FROM jsonb_to_recordset(%s::jsonb) AS parked(
        position bigint, key text, status text, attempts integer, delay double precision,
        error text, traceback text
    )
"""
DUE = """
    SELECT position, key, attempts, status, due_at
    FROM eventstore_parked
    WHERE id = ANY(ARRAY(SELECT eventstore_parked_due(%s, %s))) AND (due_at <= now()) IS TRUE
      AND subscription <> ALL (ARRAY(SELECT name FROM eventstore_subscription WHERE paused))
    ORDER BY due_at
    FOR UPDATE SKIP LOCKED
"""
LEASE = """
    UPDATE eventstore_parked
    SET status = 'leased', attempts = attempts + 1, due_at = now() + %s
    WHERE id = ANY(ARRAY(SELECT eventstore_parked_at(%s, %s)))
"""
# The next message in order behind a settled one becomes due. This statement still sees the rows
# that it deletes, so it looks for the first row of each key that is not among them; only for keys
# that have a row behind the settled one.
SETTLE = """
    WITH settled AS MATERIALIZED (
        DELETE FROM eventstore_parked
        USING unnest(%s::bigint[], %s::integer[]) AS held(place, token)
        WHERE id = ANY(ARRAY(SELECT eventstore_parked_at(%s, %s)))
          AND position + 0 = place AND attempts = token
        RETURNING position, key
    ), woken AS (
        UPDATE eventstore_parked
        SET due_at = now()
        WHERE id = ANY(ARRAY(
            SELECT id
            FROM eventstore_parked_heads(%s, ARRAY(
                SELECT DISTINCT * FROM eventstore_parked_behind(
                    %s, ARRAY(SELECT key FROM settled), ARRAY(SELECT position FROM settled)
                )
            ), ARRAY(SELECT position FROM settled))
        ))
    )
    SELECT position FROM settled
"""
DEFER = """
    UPDATE eventstore_parked
    SET due_at = now() + make_interval(secs => %s)
    WHERE id = ANY(ARRAY(SELECT eventstore_parked_due(%s, NULL)))
"""
POSTPONE = """
    UPDATE eventstore_parked
    SET status = failed.status, due_at = now() + make_interval(secs => failed.delay),
        attempts = failed.attempts,
        error = failed.error, traceback = failed.traceback
    FROM jsonb_to_recordset(%s::jsonb) AS failed(
        position bigint, token integer, status text, attempts integer, delay double precision,
        error text, traceback text
    )
    WHERE id = ANY(ARRAY(SELECT eventstore_parked_at(%s, %s)))
      AND eventstore_parked.position + 0 = failed.position
      AND eventstore_parked.attempts = failed.token
"""
# Only the first message of each key is retried.
RETRY = """
    WITH chosen AS MATERIALIZED (
        SELECT id, key FROM eventstore_parked
            WHERE id = ANY(ARRAY(SELECT eventstore_parked_at(%s, %s)))
    )
    UPDATE eventstore_parked
    SET status = 'failed', due_at = now()
    WHERE id = ANY(ARRAY(
        SELECT id FROM eventstore_parked_heads(%s, ARRAY(SELECT DISTINCT key FROM chosen))
        INTERSECT
        SELECT id FROM chosen
    )) AND status IN ('failed', 'dead')
    RETURNING position
"""
DISCARD = """
    DELETE FROM eventstore_parked
    WHERE id = ANY(ARRAY(SELECT eventstore_parked_at(%s, %s))) AND status <> 'leased'
    RETURNING position, key
"""
WAKE = """
    UPDATE eventstore_parked
    SET due_at = now()
    WHERE id = ANY(ARRAY(SELECT id FROM eventstore_parked_heads(%s, %s)))
      AND (status = 'waiting' AND due_at IS NULL) IS TRUE
"""
IS_PARKED = "SELECT eventstore_parked_at(%s, ARRAY[%s::bigint])"
POSITIONS = """
    SELECT position
    FROM eventstore_parked
    WHERE subscription = %s AND position > %s AND position <= %s
"""
UNPARK = "DELETE FROM eventstore_parked WHERE subscription = %s"
EXPORT = """
    SELECT jsonb_agg(to_jsonb(parked) - 'id')
    FROM eventstore_parked AS parked
    WHERE subscription = %s
"""
# They are due at once, and keep their number of attempts.
PARK_AGAIN = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts, due_at, error,
        traceback, parked_at)
    SELECT subscription, position, key, status, attempts, due_at, error, traceback, parked_at
    FROM jsonb_populate_recordset(NULL::eventstore_parked, %s::jsonb)
"""
# copied: the attempts after which a dead letter was copied to its topic; it may die again later.
UNCOPIED = """
    SELECT position, attempts, error, parked_at
    FROM eventstore_parked
    WHERE id = ANY(ARRAY(SELECT eventstore_parked_uncopied(%s, %s)))
    ORDER BY position
"""
COPIED = """
    UPDATE eventstore_parked
    SET copied = attempts
    WHERE id = ANY(ARRAY(SELECT eventstore_parked_at(%s, %s)))
"""
# A locked row is being settled or taken over: it is skipped, so that no deadlock is possible.
RENEW = """
    WITH ours AS MATERIALIZED (
        SELECT eventstore_parked_at(subscription, ARRAY[place]) AS id, token, seconds
        FROM unnest(%s::text[], %s::bigint[], %s::integer[], %s::double precision[])
            AS ours(subscription, place, token, seconds)
    ), held AS MATERIALIZED (
        SELECT parked.id, seconds
        FROM eventstore_parked AS parked
        JOIN ours USING (id)
        WHERE parked.id = ANY(ARRAY(SELECT id FROM ours)) AND attempts = token AND status = 'leased'
        FOR UPDATE OF parked SKIP LOCKED
    )
    UPDATE eventstore_parked AS parked
    SET due_at = now() + make_interval(secs => seconds)
    FROM held
    WHERE parked.id = held.id
    RETURNING subscription, position
"""


class Due(NamedTuple):
    """A parked message that is due. attempts: the fencing token; only the worker that began this
    attempt may settle it."""

    position: int
    key: str
    attempts: int
    status: str
    due_at: datetime


class DeadLetter(NamedTuple):
    """A parked message that is not retried by itself any more. attempts: how often it failed."""

    position: int
    attempts: int
    error: str
    parked_at: datetime


class ParkedMessage(msgspec.Struct, frozen=True):
    """A row to park or to postpone. delay: seconds until it is due; None waits for the message
    before it in order, or for an operator."""

    position: int
    key: str = ""
    status: str = "waiting"
    attempts: int = 0
    token: int = 0
    delay: float | None = None
    error: str = ""
    traceback: str = ""


def held(name: str, keys: Iterable[str]) -> set[str]:
    """Those of the keys that have a parked message, so that further messages must wait behind
    it."""
    return {key for (key,) in rows(HELD, [name, list(keys)])}


def park(name: str, messages: Sequence[ParkedMessage]) -> None:
    if messages:
        execute(PARK, [name, encode_json(messages).decode()]).close()


def due(name: str, limit: int) -> list[Due]:
    """The parked messages that are due, locked for this transaction; at most one of each key."""
    return [Due(*row) for row in rows(DUE, [name, limit])]


def lease(name: str, positions: Sequence[int], duration: object) -> None:
    execute(LEASE, [duration, name, list(positions)]).close()


def settle(name: str, tokens: Mapping[int, int]) -> set[int]:
    """Delete handled messages. tokens: position -> attempts. Returns the positions whose token was
    still valid."""
    if not tokens:
        return set()
    params = [list(tokens), list(tokens.values()), name, list(tokens), name, name]
    return {position for (position,) in rows(SETTLE, params)}


def postpone(name: str, messages: Sequence[ParkedMessage]) -> None:
    if messages:
        params = [encode_json(messages).decode(), name, [each.position for each in messages]]
        execute(POSTPONE, params).close()


def defer(name: str, seconds: float) -> None:
    """Delay all messages that are due, without counting an attempt."""
    execute(DEFER, [seconds, name]).close()


def failed(
    position: int, error: BaseException, *, attempts: int, key: str = "", token: int = 0
) -> ParkedMessage:
    """The row for a message whose handler has failed `attempts` times: to retry later, or a dead
    letter."""
    dead = attempts >= ATTEMPTS or isinstance(error, Unprocessable)
    return ParkedMessage(
        position=position,
        key=key,
        status="dead" if dead else "failed",
        attempts=attempts,
        token=token,
        delay=None if dead else delay(attempts),
        error=_storable(f"{type(error).__name__}: {error}"),
        traceback=_storable("".join(traceback.format_exception(error))),
    )


def delay(attempts: int) -> float:
    """Seconds until the next try: exponential backoff with jitter, so that messages that failed
    together are not retried together."""
    return float(min(2.0 ** (attempts - 1), LONGEST_DELAY) * random.uniform(0.5, 1.0))


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def is_parked(name: str, position: int) -> bool:
    return bool(rows(IS_PARKED, [name, position]))


def positions(name: str, *, after: int, until: int) -> set[int]:
    """The messages that are parked between two positions."""
    return {position for (position,) in rows(POSITIONS, [name, after, until])}


def retry(name: str, positions: Sequence[int]) -> list[int]:
    """Make messages due now, if they are the first of their key. Returns their positions."""
    return [position for (position,) in rows(RETRY, [name, list(positions), name])]


def discard(name: str, positions: Sequence[int]) -> list[tuple[int, str]]:
    """Delete messages that have no call in flight. Returns their positions and keys.

    Call wake with the keys, in the same transaction.
    """
    return [(position, key) for position, key in rows(DISCARD, [name, list(positions)])]


def wake(name: str, keys: Sequence[str]) -> None:
    """Make the first message of each key due, if it waits for another one."""
    execute(WAKE, [name, list(keys)]).close()


def uncopied(name: str, limit: int) -> list[DeadLetter]:
    """The dead letters that have not been copied since they last failed."""
    return [DeadLetter(*row) for row in rows(UNCOPIED, [name, limit])]


def mark_copied(name: str, positions: Sequence[int]) -> None:
    execute(COPIED, [name, list(positions)]).close()


def clear(name: str) -> None:
    """Delete all parked messages of a subscription."""
    execute(UNPARK, [name]).close()


def take(name: str) -> str | None:
    """Delete all parked messages of a subscription, and return them as a JSON array."""
    ((parked,),) = rows(EXPORT, [name])
    clear(name)
    return parked if parked is None else str(parked)


def put_back(parked: str | None) -> None:
    """Park what take returned. The messages are due at once, and keep their number of attempts."""
    execute(PARK_AGAIN, [parked]).close()
