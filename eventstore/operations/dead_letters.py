"""Parked messages: list them, read them, retry them now, or discard them with a reason.

A parked row refers to its message and holds no copy of it: a retry runs today's code and upcasters.
Messages that wait behind one of the same key stay in order until that one is settled or discarded.
"""

from collections.abc import Sequence
from typing import NamedTuple

from django.db import transaction

from eventstore.log import audit
from eventstore.messages import Message
from eventstore.outbox import cursors, parked, wakeup
from eventstore.postgres import rows

LIST = """
    SELECT subscription, position, key, status, attempts, due_at, error, traceback
    FROM eventstore_parked
    WHERE (%s::text IS NULL OR subscription = %s)
      AND (%s::text IS NULL OR key = %s)
      AND status = ANY(%s)
    ORDER BY subscription, position
    LIMIT %s
"""

SHOWN = ("failed", "dead", "waiting")


class Letter(NamedTuple):
    """A parked message. status: failed (retried at due_at), dead (never retried), or waiting
    (behind another one of its key)."""

    subscription: str
    position: int
    key: str
    status: str
    attempts: int
    due_at: object
    error: str
    traceback: str


class NotParked(LookupError):
    """None of the messages is parked, is the first of its key, and has no call in flight."""


def letters(
    *,
    subscription: str | None = None,
    key: str | None = None,
    statuses: Sequence[str] = SHOWN,
    limit: int | None = 1000,
) -> list[Letter]:
    """Parked messages in order. limit: None for all."""
    found = rows(LIST, [subscription, subscription, key, key, list(statuses), limit])
    return [Letter(*row) for row in found]


def message_of(letter: Letter) -> Message:
    """The message itself. If today's code cannot decode it, its body is the error."""
    (message,) = cursors.read_at(letter.subscription, [letter.position])
    return message


def retry(subscription: str, positions: Sequence[int], *, who: str, reason: str = "") -> int:
    """Make messages due now. Returns how many: only those that are the first of their key.

    Raises NotParked.
    """
    with transaction.atomic():
        due = parked.retry(subscription, positions)
        if not due:
            raise NotParked(
                f"{subscription}: none of {_shortened(positions)} can be retried. A message must be"
                " parked, the first of its key, and have no call in flight."
            )
        details = {"positions": due}
        audit.record(who, "retry", subscription, reason=reason, details=details)
    wakeup.wake_workers()
    return len(due)


def discard(subscription: str, positions: Sequence[int], *, who: str, reason: str) -> int:
    """Delete parked messages for good; messages that wait behind them are delivered. Returns how
    many were deleted.

    Raises NotParked, audit.ReasonMissing.
    """
    reason = audit.require_reason(reason)
    with transaction.atomic():
        # While the cursor is locked, no message can be parked behind one that is deleted here.
        cursors.hold(subscription)
        gone = parked.discard(subscription, positions)
        if not gone:
            raise NotParked(
                f"{subscription}: none of {_shortened(positions)} can be discarded. A message must"
                " be parked and have no call in flight."
            )
        keys = sorted({key for _, key in gone})
        parked.wake(subscription, keys)
        details = {"positions": [position for position, _ in gone], "keys": keys}
        audit.record(who, "discard", subscription, reason=reason, details=details)
    wakeup.wake_workers()
    return len(gone)


def _shortened(positions: Sequence[int]) -> str:
    return ", ".join(map(str, positions[:5])) + (", …" if len(positions) > 5 else "")
