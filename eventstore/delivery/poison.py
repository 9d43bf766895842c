"""A message that ends the worker which takes it (a crash of the interpreter, all of the memory)
leaves no word of it.

What it leaves is a subscription that has work, that nobody holds, and that has not moved for a
while. Then, and only then, the next worker notes what it begins, on a connection of its own, so
that the note outlives it: at first the batch as a whole; who finds such a note takes each message
alone. One that was noted alone so often is parked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from eventstore import postgres
from eventstore.messages import Message
from eventstore.outbox.cursors import Claim
from eventstore.outbox.parked import Due

# Nobody waits that long for a free worker, but on a bad day; then a note that was not needed costs
# some milliseconds.
OVERDUE = timedelta(seconds=1)
POISON = 2

# The place of a whole batch.
BATCH = 0

FOUND = """
    SELECT position, times
    FROM eventstore_delivery_marker
    WHERE subscription = %s
"""
# It must outlive the worker, not the server, so nobody waits for the disk. Set for this one
# transaction: behind a transaction pooler a setting of the session is everybody's, and a crash
# would lose acknowledged orders.
HASTE = "WITH hasty AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
NOTE = f"""
    {HASTE}
    INSERT INTO eventstore_delivery_marker (subscription, position, times)
    SELECT %s, %s::bigint, %s::integer FROM hasty
    ON CONFLICT (subscription) DO UPDATE
    SET position = EXCLUDED.position, times = EXCLUDED.times, begun_at = now()
"""
FORGET = f"""
    {HASTE}
    DELETE FROM eventstore_delivery_marker USING hasty
    WHERE subscription = %s
"""


class PoisonMessage(Exception):
    """Every worker that took this message ended in the middle of it, without an error that could be
    caught."""


class DeliveryMarkers:
    """What is begun on one subscription. found, times: what was noted last by who did not live to
    take the note back."""

    def __init__(self, name: str, beside: postgres.SideConnection) -> None:
        self.name, self.beside = name, beside
        self.found: int | None
        self.times: int
        self.found, self.times = next(iter(beside.rows(FOUND, [name])), (None, 0))

    def begin(self, position: int) -> None:
        """Raises PoisonMessage for a message that was begun too often."""
        times = self.times if position == self.found else 0
        if position != BATCH and times >= POISON:
            raise PoisonMessage(
                f"{times} workers, one after another, took it alone and did not come back."
            )
        self.beside.execute(NOTE, [self.name, position, times + 1])

    def is_poison(self, one: Message | Due) -> bool:
        return one.position == self.found != BATCH and self.times >= POISON


def suspected(claimed: Claim, due: Sequence[Due], messages: Sequence[Message]) -> bool:
    """Whether something lies here that a worker should have come to by now."""
    if any(claimed.at - each.due_at > OVERDUE for each in due):
        return True
    still = claimed.at - claimed.moved_at > OVERDUE
    return still and bool(messages) and claimed.at - messages[0].recorded_at > OVERDUE


@contextmanager
def marking(name: str) -> Iterator[DeliveryMarkers]:
    """For who holds the subscription. Whoever comes out of it alive, with an error or without,
    takes the note back.

    But not who has lost its connection: that is a message's doing as well, when it breaks one after
    another.
    """
    with postgres.beside() as beside:
        try:
            yield DeliveryMarkers(name, beside)
        finally:
            if not postgres.is_lost():
                beside.execute(FORGET, [name])
