"""The sequence of positions, put ahead of the log where a restore has left it behind."""

from typing import NamedTuple

from django.db import transaction

from eventstore.postgres import execute, rows

# Nobody is given a position meanwhile. In the order in which an append comes to them.
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
    """last: the position that was given out last. reached: the highest one that is in the log,
    owed, or passed."""

    last: int
    reached: int

    @property
    def is_behind(self) -> bool:
        return self.last < self.reached


def restart_sequence() -> Sequence:
    """If the sequence is behind, let it go on where the log ends; returns how it stood before.

    Appends wait meanwhile. Needs a connection as the owner of the tables.
    """
    with transaction.atomic():
        execute(STOP_APPENDS).close()
        stood = Sequence(*rows(REACHED)[0])
        if stood.is_behind:
            rows(SET, [stood.reached])
    return stood
