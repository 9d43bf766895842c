"""What has come from outside, by source and id, remembered in the transaction of its effect: a
repeat has none."""

import re
from collections.abc import Iterable
from datetime import timedelta

from eventstore.limits import Unstorable
from eventstore.messages import Command, Metadata
from eventstore.postgres import atomic, delete_older, rows

from . import bus

# Who comes second waits for the first one's commit, and then finds it there.
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

# What fits the index on it, can be sent back, and stays in its line of the log.
MESSAGE_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,255}")


def receive(
    source: str,
    message_id: str,
    commands: Iterable[Command] = (),
    *,
    metadata: Metadata | None = None,
) -> bool:
    """Owe the commands that follow from a message, unless it was received before. Returns whether
    it is new.

    A message is known by its id alone: what a known one says is not looked at. Raises Unstorable
    for an id that is empty, has more than 255 characters, or holds a control character or half of
    one.
    """
    if not MESSAGE_ID.fullmatch(message_id):
        raise Unstorable(
            f"{message_id[:50]!a} is no id of a message: 1 to 255 characters, none that controls."
        )
    with atomic():
        if not rows(REMEMBER, [source, message_id]):
            return False
        # Last, for who appends holds the fence until the commit.
        bus.enqueue(commands, metadata=metadata)
    return True


def forget(*, older_than: timedelta) -> int:
    """Delete what is older, in batches; returns how many rows were deleted."""
    return delete_older(FORGET, older_than, batch=BATCH)
