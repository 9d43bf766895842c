"""Move the sequence of positions ahead of the log, after a restore has left it behind."""

from typing import NamedTuple

from django.db import transaction

from eventstore.postgres import execute, rows

# No append writes meanwhile, and one that waits with its position checks it afterwards. The tables
# are locked in the order in which an append uses them.
STOP_APPENDS = "LOCK TABLE eventstore_event, eventstore_outbox IN SHARE ROW EXCLUSIVE MODE"
REACHED = """
    SELECT coalesce(pg_sequence_last_value('eventstore_position'), 0), greatest(
        0,
        (SELECT max(position) FROM eventstore_event),
        (SELECT max(position) FROM eventstore_outbox),
        (SELECT max(position) FROM eventstore_subscription)
    )
"""
SET = "SELECT setval('eventstore_position', %s)"


class Sequence(NamedTuple):
    """last: the position that the sequence returned last. reached: the highest position in the log,
    in the outbox or of a cursor."""

    last: int
    reached: int

    @property
    def is_behind(self) -> bool:
        return self.last < self.reached


def restart_sequence() -> Sequence:
    """If the sequence is behind, continue it where the log ends. Returns its state before.

    Appends wait meanwhile. Needs a connection as the owner of the tables.
    """
    with transaction.atomic():
        execute(STOP_APPENDS).close()
        before = Sequence(*rows(REACHED)[0])
        if before.is_behind:
            rows(SET, [before.reached])
    return before
