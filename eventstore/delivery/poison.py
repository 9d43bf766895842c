"""Poison messages: a message that ends its worker (a crash of the interpreter, out of memory)
raises no error that could be recorded.

Its sign is a subscription that has work, that no worker holds, and that has not moved for a while.
Only then the next worker records what it begins, on a side connection, so that the marker survives
the worker. First it marks the batch as a whole. A worker that finds such a marker delivers and
marks each message alone. A message that was marked alone POISON times is parked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from eventstore import postgres
from eventstore.messages import Message
from eventstore.outbox.cursors import Claim
from eventstore.outbox.parked import Due

# Longer than a healthy queue ever waits; a false positive costs a few milliseconds.
OVERDUE = timedelta(seconds=1)
POISON = 2

# The position that marks a whole batch.
BATCH = 0

FIND = """
    SELECT position, times
    FROM eventstore_delivery_marker
    WHERE subscription = %s
"""
# A marker must survive the worker, not the server, so it does not wait for the disk. The setting is
# for this transaction only: behind a transaction pooler, a setting of the session would apply to
# other clients, and a crash would lose acknowledged orders.
ASYNCHRONOUS = "WITH fast AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
MARK = f"""
    {ASYNCHRONOUS}
    INSERT INTO eventstore_delivery_marker (subscription, position, times)
    SELECT %s, %s::bigint, %s::integer FROM fast
    ON CONFLICT (subscription) DO UPDATE
    SET position = EXCLUDED.position, times = EXCLUDED.times, begun_at = now()
"""
UNMARK = f"""
    {ASYNCHRONOUS}
    DELETE FROM eventstore_delivery_marker USING fast
    WHERE subscription = %s
"""


class PoisonMessage(Exception):
    """Every worker that took this message ended while handling it, without an error."""


class DeliveryMarkers:
    """The marker of one subscription. found, times: the position, and how often it was begun,
    according to the last worker that did not remove its marker."""

    def __init__(self, name: str, side: postgres.SideConnection) -> None:
        self.name, self.side = name, side
        self.found: int | None
        self.times: int
        self.found, self.times = next(iter(side.rows(FIND, [name])), (None, 0))

    def begin(self, position: int) -> None:
        """Mark the position. Raises PoisonMessage for a message that was begun too often."""
        times = self.times if position == self.found else 0
        if position != BATCH and times >= POISON:
            raise PoisonMessage(f"{times} workers in a row ended while handling it alone.")
        self.side.execute(MARK, [self.name, position, times + 1])

    def is_poison(self, one: Message | Due) -> bool:
        return one.position == self.found != BATCH and self.times >= POISON


def suspected(claimed: Claim, due: Sequence[Due], messages: Sequence[Message]) -> bool:
    """Whether a message waits here that a worker should have taken by now."""
    if any(claimed.at - each.due_at > OVERDUE for each in due):
        return True
    still = claimed.at - claimed.moved_at > OVERDUE
    return still and bool(messages) and claimed.at - messages[0].recorded_at > OVERDUE


@contextmanager
def marking(name: str) -> Iterator[DeliveryMarkers]:
    """For a worker that holds the subscription. The marker is removed at the end, with or without
    an error.

    It stays if the connection is lost: a message may also break one connection after another.
    """
    with postgres.beside() as side:
        try:
            yield DeliveryMarkers(name, side)
        finally:
            if not postgres.is_lost():
                side.execute(UNMARK, [name])
