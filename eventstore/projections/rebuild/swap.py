"""Bring a rebuilt table up to date and swap it with the live one in a short commit; or roll back.

Readers see the old table until the commit and the new one after it. A session that waits for an
exclusive lock blocks all later readers. So the swap waits for a moment only, gives up, lets the
subscription continue, and tries again.
"""

import random
import time

from django.db import OperationalError

from eventstore.log.fence_monitor import HELD_BY
from eventstore.outbox import cursors, parked
from eventstore.postgres import atomic, rows, was_rolled_back
from eventstore.subscriptions import Projection

from . import records, shadow_table
from .fold import Fold, RebuildFailed
from .records import Rebuilding, Stopped

# Most positions that the swap itself may fold, under the lock of the subscription.
NEAR = 2000
LOCK_MILLISECONDS = 100
PAUSE_SECONDS = (0.05, 2.0)
ROLL_BACK_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0)

SUBSCRIPTION = """
    SELECT position, greatest(position, eventstore_fence())
    FROM eventstore_subscription
    WHERE name = %s
"""
BLOCKER = f"""
    SELECT coalesce(
        'the prepared transaction ' || prepared.gid,
        format('backend %%s (%%s, %%s): %%s', held.pid, application_name, state, left(query, 120))
    )
    FROM pg_locks AS held
    {HELD_BY}
    WHERE held.relation = to_regclass(%s) AND held.granted AND held.pid IS DISTINCT
        FROM pg_backend_pid()
    ORDER BY coalesce(xact_start, prepared.prepared)
    LIMIT 1
"""


class NothingKept(LookupError):
    """No earlier table is kept, or its columns no longer match."""


def catch_up(rebuild: Rebuilding, projection: Projection, *, until: int) -> None:
    """Fold all shares up to one position."""
    after = records.get(rebuild.id).position
    if after < until:
        shares = range(rebuild.shares)
        Fold(
            rebuild.subscription,
            projection,
            shadow_table.shadow_name(shadow_table.table_of(projection)),
            after=after,
            until=until,
            save_progress=lambda checkpoint: records.advance(rebuild, shares, checkpoint),
        ).run()


def swap_in(rebuild: Rebuilding, projection: Projection, *, seconds: float) -> bool:
    """Swap the tables. Returns False when a reader blocked the swap for that long."""
    end, pause = time.monotonic() + seconds, PAUSE_SECONDS[0]
    while True:
        # However much is appended meanwhile, each round has less to fold than the one before.
        while (head := _cursor_and_head(rebuild.subscription)[1]) - records.get(
            rebuild.id
        ).position > NEAR:
            catch_up(rebuild, projection, until=head)
        try:
            with atomic():
                _swap(rebuild, projection)
            return True
        except OperationalError as error:
            if not was_rolled_back(error):
                raise
        blockers = rows(BLOCKER, [shadow_table.live_name(shadow_table.table_of(projection))])
        records.wait(rebuild.id, blockers[0][0] if blockers else "")
        if time.monotonic() > end:
            return False
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, PAUSE_SECONDS[1])


def roll_back(name: str, projection: Projection) -> int:
    """Make the kept table live again and move its subscription back to the cursor of that table.

    The table that it replaces is kept in turn. Returns the position from which the subscription
    continues. Raises NothingKept; OperationalError when a reader keeps its lock.
    """
    for pause in ROLL_BACK_PAUSES:
        try:
            return _roll_back(name, projection)
        except OperationalError as error:
            if not was_rolled_back(error):
                raise
        time.sleep(pause)
    return _roll_back(name, projection)


def _roll_back(name: str, projection: Projection) -> int:
    table = shadow_table.table_of(projection)
    live, kept = shadow_table.live_name(table), shadow_table.kept_name(table)
    with atomic():
        # The outbox must not be cleared while a cursor moves back: the subscription would miss what
        # was deleted.
        cursors.hold(cursors.CLEARED)
        cursors.hold(name)
        record = records.with_replaced(name)
        if record is None or not shadow_table.exists(kept):
            raise NothingKept(f"No earlier table of {name} is kept.")
        position, kept_messages = records.kept_cursor(record.id)
        shadow_table.lock(live, milliseconds=LOCK_MILLISECONDS)
        if shadow_table.form(kept) != shadow_table.form(live):
            raise NothingKept(
                f"The earlier table of {name} has other columns or indexes: {table} was migrated"
                " since. Rebuild it instead."
            )
        records.keep_cursor(record.id, position=_cursor_and_head(name)[0], parked=parked.take(name))
        records.turn_back(record.id)
        shadow_table.exchange(table)
        parked.put_back(kept_messages)
        cursors.move(name, position)
    return position


def _swap(rebuild: Rebuilding, projection: Projection) -> None:
    name, table = rebuild.subscription, shadow_table.table_of(projection)
    live, shadow = shadow_table.live_name(table), shadow_table.shadow_name(table)
    cursors.hold(name)
    position, head = _cursor_and_head(name)
    catch_up(rebuild, projection, until=head)
    shadow_table.lock(live, milliseconds=LOCK_MILLISECONDS)
    if shadow_table.form(shadow) != shadow_table.form(live):
        raise RebuildFailed(f"{table} was migrated during the rebuild. Rebuild it again.")
    if not records.become(rebuild.id, "swapped"):
        raise Stopped(f"The rebuild of {name} was cancelled.")
    records.forget_replaced(name)
    records.keep_cursor(rebuild.id, position=position, parked=parked.take(name))
    shadow_table.replace(table)
    cursors.move(name, head)


def _cursor_and_head(name: str) -> tuple[int, int]:
    """Its cursor, and the position up to which it may read: never less than its cursor, wherever
    the fence is."""
    ((position, head),) = rows(SUBSCRIPTION, [name])
    return int(position), int(head)
