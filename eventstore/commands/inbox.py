"""Messages from outside, received once each: their commands are enqueued with their id."""

import re
from collections.abc import Iterable

from eventstore.codec import Unstorable
from eventstore.messages import Command, Metadata
from eventstore.outbox import received
from eventstore.postgres import atomic

from . import bus

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
        if not received.remember(source, [message_id]):
            return False
        # Last, because an append holds the fence until the commit.
        bus.enqueue(commands, metadata=metadata)
    return True
