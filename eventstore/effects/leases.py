"""Leases of calls under way: short, so that a dead worker's calls are soon taken over; renewed
while it lives.

Time is the database's: a lease is taken, renewed and found to have run out by its clock alone. What
a process reckons by its own is only how long it may still begin a call, and that is never longer
than what the database has granted.

A lease that dies with its holder's session (an advisory lock, a backend's pid) would be quicker,
but behind a transaction pooler the session is the pooler's, and outlives whoever took the lease.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import Error

from eventstore import postgres

logger = logging.getLogger(__name__)

SECONDS = 10.0
# Three times in a lease, so that one that fails is made good by the next.
RENEWED_EVERY = 3.0
# What has so much left may be done before it needs more: a quick call never costs a renewal.
ENOUGH = 8.0

# A row that somebody has locked is being settled, or taken over: nobody waits for it, so nobody can
# wait in a circle.
RENEW = """
    WITH ours AS MATERIALIZED (
        SELECT eventstore_parked_at(subscription, ARRAY[place]) AS id, token, seconds
        FROM unnest(%s::text[], %s::bigint[], %s::integer[], %s::double precision[])
            AS ours(subscription, place, token, seconds)
    ), held AS MATERIALIZED (
        SELECT parked.id, seconds
        FROM eventstore_parked AS parked
        JOIN ours USING (id)
        WHERE parked.id = ANY(ARRAY(SELECT id FROM ours)) AND attempts = token AND status = 'leased'
        FOR UPDATE OF parked SKIP LOCKED
    )
    UPDATE eventstore_parked AS parked
    SET due_at = now() + make_interval(secs => seconds)
    FROM held
    WHERE parked.id = held.id
    RETURNING subscription, position
"""


class Lease:
    """Of one call. token: the attempt that holds it. until: so long we may begin. end: it is
    renewed no longer."""

    def __init__(
        self, name: str, position: int, token: int, *, taken_at: float, longest: timedelta
    ) -> None:
        self.name, self.position, self.token = name, position, token
        self.until, self.end = (
            taken_at + first(longest).total_seconds(),
            taken_at + longest.total_seconds(),
        )

    @property
    def is_held(self) -> bool:
        return time.monotonic() < self.until


class Renewal:
    """A thread that renews what is held, beside whatever else its process is busy with. held: all
    leases of ours."""

    def __init__(self, held: Callable[[], Sequence[Lease]]) -> None:
        self.held = held
        self.thread: threading.Thread | None = None

    def begin(self) -> None:
        """From now on; also in a process that was forked meanwhile, or whose thread has died."""
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self._run, name="leases", daemon=True)
            self.thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(RENEWED_EVERY)
            renew(self.held())


def first(longest: timedelta) -> timedelta:
    return min(longest, timedelta(seconds=SECONDS))


def renew(leases: Sequence[Lease]) -> None:
    """Those that are running out and that nobody has taken over. A database that cannot be reached
    renews nothing."""
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
        # A connection of its own, which a renewal needs for some milliseconds, and only where calls
        # are slow.
        with postgres.beside() as beside:
            renewed = beside.rows(
                RENEW, [*columns, [each.token for each in ours.values()], list(seconds.values())]
            )
    except Error as error:
        logger.warning("The leases of %s calls could not be renewed: %r", len(ours), error)
        return
    for place in renewed:
        ours[place].until = now + seconds[place]
