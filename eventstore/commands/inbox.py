"""The inbox: messages from outside, by source and id, recorded in the transaction of their effect,
so that a repeated message has no effect."""

import re
from collections.abc import Iterable
from datetime import timedelta

from eventstore.limits import Unstorable
from eventstore.messages import Command, Metadata
from eventstore.postgres import atomic, delete_older, rows

from . import bus

# A second delivery of the same message waits here for the first one's commit, and then conflicts.
REMEMBER = """
    INSERT INTO eventstore_inbox (source, message_id)
    VALUES (%s, %s)
    ON CONFLICT DO NOTHING
    RETURNING id
"""
FORGET = """
    DELETE FROM eventstore_inbox
    WHERE id = ANY(ARRAY(
        SELECT id
        FROM eventstore_inbox
        WHERE received_at < now() - %s
        ORDER BY received_at
        LIMIT %s
    ))
"""
BATCH = 10_000

# Fits into the index, can be sent back, and cannot break a log line.
MESSAGE_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,255}")


def receive(
    source: str,
    message_id: str,
    commands: Iterable[Command] = (),
    *,
    metadata: Metadata | None = None,
) -> bool:
    """Enqueue the commands that follow from a message, unless it was received before. Returns
    whether the message is new.

    Only the id identifies a message; the content of a repeat is ignored. Raises Unstorable for an
    id that is empty, has more than 255 characters, or contains a control character or a surrogate.
    """
    if not MESSAGE_ID.fullmatch(message_id):
        raise Unstorable(
            f"Invalid message id {message_id[:50]!a}: expected 1 to 255 characters without control"
            " characters."
        )
    with atomic():
        if not rows(REMEMBER, [source, message_id]):
            return False
        # Last, because an append holds the fence until the commit.
        bus.enqueue(commands, metadata=metadata)
    return True


def forget(*, older_than: timedelta) -> int:
    """Delete older messages, in batches. Returns the number of deleted rows."""
    return delete_older(FORGET, older_than, batch=BATCH)
