"""Leases of calls in flight: short, so that a dead worker's calls are soon taken over; renewed
while the worker lives.

The database's clock alone decides when a lease is taken, renewed or expired. A process uses its own
clock only to decide how long it may still start a call, which is never longer than the database has
granted.

A lease tied to its holder's session (an advisory lock, a backend's pid) would end sooner after a
crash. But behind a transaction pooler the session belongs to the pooler and outlives the holder.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import Error

from eventstore import postgres
from eventstore.outbox import parked

logger = logging.getLogger(__name__)

SECONDS = 10.0
# Three times in a lease, so that one failed renewal does no harm.
RENEWED_EVERY = 3.0
# A lease with more seconds left is not renewed, so that a quick call never costs a renewal.
ENOUGH = 8.0


class Lease:
    """The lease of one call.

    token: the number of the attempt that holds it. until: the call may begin before this time (of
    time.monotonic). end: it is not renewed beyond this time.
    """

    def __init__(
        self, name: str, position: int, token: int, *, taken_at: float, longest: timedelta
    ) -> None:
        self.name, self.position, self.token = name, position, token
        self.until = taken_at + first(longest).total_seconds()
        self.end = taken_at + longest.total_seconds()

    @property
    def is_held(self) -> bool:
        return time.monotonic() < self.until


class Renewal(threading.Thread):
    """Renews the leases of this process. held: returns all of them."""

    def __init__(self, held: Callable[[], Sequence[Lease]]) -> None:
        super().__init__(name="leases", daemon=True)
        self.held = held

    def run(self) -> None:
        while True:
            time.sleep(RENEWED_EVERY)
            renew(self.held())


def first(longest: timedelta) -> timedelta:
    """The duration of a new lease."""
    return min(longest, timedelta(seconds=SECONDS))


def renew(leases: Sequence[Lease]) -> None:
    """Renew those that expire soon and were not taken over. An unreachable database is logged."""
    now = time.monotonic()
    ours = {
        (each.name, each.position): each
        for each in leases
        if each.until - now < ENOUGH and now < each.end
    }
    if not ours:
        return
    seconds = {place: min(SECONDS, each.end - now) for place, each in ours.items()}
    columns = [list(column) for column in zip(*ours, strict=True)]
    try:
        # A separate connection, for some milliseconds, and only while calls are slow.
        with postgres.beside() as connection:
            renewed = connection.rows(
                parked.RENEW,
                [*columns, [each.token for each in ours.values()], list(seconds.values())],
            )
    except Error as error:
        logger.warning("renewing the leases of %s calls failed: %r", len(ours), error)
        return
    for place in renewed:
        ours[place].until = now + seconds[place]
