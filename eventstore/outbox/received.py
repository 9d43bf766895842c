"""The inbox: the ids of messages from outside, by source, written in the transaction of their
effect, so that a repeated message has no effect."""

from collections.abc import Sequence
from datetime import timedelta

from eventstore.postgres import delete_older, rows

# A second delivery of the same message waits here for the first one's commit, and then conflicts.
# In the order of the ids, so that two receivers of the same messages cannot deadlock.
REMEMBER = """
    INSERT INTO eventstore_inbox (source, message_id)
    SELECT %s, message_id FROM unnest(%s::text[]) AS message_id ORDER BY message_id
    ON CONFLICT DO NOTHING
    RETURNING message_id
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


def remember(source: str, message_ids: Sequence[str]) -> set[str]:
    """Returns those that are new. Call it in the transaction of their effect."""
    return {message_id for (message_id,) in rows(REMEMBER, [source, list(message_ids)])}


def forget(*, older_than: timedelta) -> int:
    """Delete older ids, in batches. Returns the number of deleted rows."""
    return delete_older(FORGET, older_than, batch=BATCH)
