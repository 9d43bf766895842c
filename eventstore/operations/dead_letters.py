"""Parked messages in a person's hands: look into them, try them again now, or discard them with a
reason.

A parked row points to its message, it holds no copy: a retry runs today's code and upcasters. What
waits behind a message of its key goes on waiting in order until that one is settled or discarded.
"""

from collections.abc import Sequence
from typing import NamedTuple

from django.db import transaction

from eventstore.log import audit
from eventstore.messages import Message
from eventstore.outbox import cursors, wakeup
from eventstore.postgres import execute, rows

LIST = """
    SELECT subscription, position, key, status, attempts, due_at, error, traceback
    FROM eventstore_parked
    WHERE (%s::text IS NULL OR subscription = %s)
      AND (%s::text IS NULL OR key = %s)
      AND status = ANY(%s)
    ORDER BY subscription, position
    LIMIT %s
"""
# Only the first of a key.
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

SHOWN = ("failed", "dead", "waiting")


class Letter(NamedTuple):
    """A parked message. status: failed (tried again at due_at), dead (no more), waiting (behind one
    of its key)."""

    subscription: str
    position: int
    key: str
    status: str
    attempts: int
    due_at: object
    error: str
    traceback: str


class NotParked(LookupError):
    """There is no such parked message, or it is not the first of its key, or a call for it is under
    way."""


def letters(
    *,
    subscription: str | None = None,
    key: str | None = None,
    statuses: Sequence[str] = SHOWN,
    limit: int | None = 1000,
) -> list[Letter]:
    """limit: None for all of them."""
    found = rows(LIST, [subscription, subscription, key, key, list(statuses), limit])
    return [Letter(*row) for row in found]


def message_of(letter: Letter) -> Message:
    """The message itself, made by today's code; its body is the error when that cannot be."""
    (message,) = cursors.read_at(letter.subscription, [letter.position])
    return message


def retry(subscription: str, positions: Sequence[int], *, who: str, reason: str = "") -> int:
    """Make them due now; returns how many were the first of their key, and so will be tried. Raises
    NotParked."""
    with transaction.atomic():
        tried = [
            position for (position,) in rows(RETRY, [subscription, list(positions), subscription])
        ]
        if not tried:
            raise NotParked(
                f"{subscription} has none of {_listed(positions)} that can be tried again."
            )
        audit.record(who, "retry", subscription, reason=reason, details={"positions": tried})
    wakeup.wake_workers()
    return len(tried)


def discard(subscription: str, positions: Sequence[int], *, who: str, reason: str) -> int:
    """Take them away for good; what waits behind them is delivered. Raises NotParked,
    audit.ReasonMissing."""
    reason = audit.require_reason(reason)
    with transaction.atomic():
        # Nobody parks behind them meanwhile: it would wait for what is gone.
        cursors.hold(subscription)
        gone = rows(DISCARD, [subscription, list(positions)])
        if not gone:
            raise NotParked(
                f"{subscription} has none of {_listed(positions)} that can be discarded."
            )
        rows_of_keys = sorted({key for _, key in gone})
        _wake(subscription, rows_of_keys)
        details = {"positions": [position for position, _ in gone], "keys": rows_of_keys}
        audit.record(who, "discard", subscription, reason=reason, details=details)
    wakeup.wake_workers()
    return len(gone)


def _wake(subscription: str, keys: Sequence[str]) -> None:
    execute(WAKE, [subscription, list(keys)]).close()


def _listed(positions: Sequence[int]) -> str:
    return ", ".join(map(str, positions[:5])) + (", …" if len(positions) > 5 else "")
