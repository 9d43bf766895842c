"""Bring a rebuilt table up to the log and put it in the place of the live one, in one short commit;
or back again.

Readers see the old table until that commit and the new one after it. Who waits for the lock on a
table keeps all later readers waiting behind, so we wait for a moment only, give it up, let the
subscription go on, and try again.
"""

import random
import time

from django.db import OperationalError

from eventstore.log.fence_monitor import HELD_BY
from eventstore.outbox import cursors
from eventstore.postgres import atomic, execute, rows, was_rolled_back
from eventstore.subscriptions import Projection

from . import fold as folding
from . import records
from . import shadow_table as shadow
from .fold import RebuildFailed
from .records import Rebuilding

# So few positions are folded in the swap itself, under the subscription's lock.
NEAR = 2000
LOCK_MILLISECONDS = 100
PAUSE_SECONDS = (0.05, 2.0)
ROLL_BACK_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0)

SUBSCRIPTION = (
    "SELECT position, greatest(position, eventstore_fence()) FROM eventstore_subscription WHERE"
    " name = %s"
)
PARKED = (
    "SELECT jsonb_agg(to_jsonb(parked) - 'id') FROM eventstore_parked AS parked WHERE subscription"
    " = %s"
)
UNPARK = "DELETE FROM eventstore_parked WHERE subscription = %s"
# Tried again at once, each with as many tries as it had left.
PARK_AGAIN = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts, due_at, error,
        traceback, parked_at)
    SELECT subscription, position, key, status, attempts, due_at, error, traceback, parked_at
    FROM jsonb_populate_recordset(NULL::eventstore_parked, %s::jsonb)
"""
IN_THE_WAY = f"""
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


class Stopped(Exception):
    """It was cancelled, or somebody else has taken it on."""


class NothingKept(LookupError):
    """There is no earlier table to go back to, or it does not fit any more."""


def advance(
    rebuild: Rebuilding, shares: list[int], before: int, to: int, events: int, seconds: float
) -> None:
    if not records.advance(
        rebuild.id, shares, before=before, to=to, events=events, seconds=seconds
    ):
        raise Stopped(
            f"The rebuild of {rebuild.subscription} was cancelled, or taken on by another process."
        )


def catch_up(rebuild: Rebuilding, projection: Projection, *, until: int) -> None:
    """Fold all shares on to the same position."""
    everything = list(range(rebuild.shares))
    after = records.get(rebuild.id).position
    if after < until:
        folding.fold(
            rebuild.subscription,
            projection,
            shadow.shadow(shadow.name_of(projection)),
            after=after,
            until=until,
            advance=lambda *moved: advance(rebuild, everything, *moved),
        )


def take_place(rebuild: Rebuilding, projection: Projection, *, seconds: float) -> bool:
    """Whether it came to the swap within that time; a reader who never ends may keep us from it."""
    begun, pause = time.monotonic(), PAUSE_SECONDS[0]
    while True:
        _come_near(rebuild, projection)
        try:
            with atomic():
                _swap(rebuild, projection)
            return True
        except OperationalError as error:
            if not was_rolled_back(error):
                raise
        _note_who_is_in_the_way(rebuild, projection)
        if time.monotonic() - begun > seconds:
            return False
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, PAUSE_SECONDS[1])


def roll_back(name: str, projection: Projection) -> int:
    """Put the kept table back and its subscription where it stood then; it is folded on from there.
    Returns that position.

    What it takes the place of is kept in turn. Raises NothingKept, OperationalError when a reader
    does not let go.
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
    table = shadow.name_of(projection)
    with atomic():
        # Nobody clears the outbox while a cursor goes back: the subscription would look for what is
        # gone.
        cursors.hold(cursors.CLEARED)
        cursors.hold(name)
        kept = records.with_replaced(name)
        if kept is None or not shadow.exists(shadow.kept(table)):
            raise NothingKept(f"No earlier table of {name} is kept.")
        position, parked = records.kept_place(kept.id)
        shadow.lock(shadow.live(table), milliseconds=LOCK_MILLISECONDS)
        if shadow.form(shadow.kept(table)) != shadow.form(shadow.live(table)):
            raise NothingKept(
                f"The earlier table of {name} has another form: it was migrated since. Rebuild"
                " instead."
            )
        records.keep_place(kept.id, position=_subscription(name)[0], parked=_take_parked(name))
        records.turn_back(kept.id)
        shadow.exchange(table)
        execute(PARK_AGAIN, [parked]).close()
        cursors.move(name, position)
    return position


def _come_near(rebuild: Rebuilding, projection: Projection) -> None:
    """However much is appended meanwhile, each round has less to fold than the one before."""
    while (head := _subscription(rebuild.subscription)[1]) - records.get(
        rebuild.id
    ).position > NEAR:
        catch_up(rebuild, projection, until=head)


def _swap(rebuild: Rebuilding, projection: Projection) -> None:
    name, table = rebuild.subscription, shadow.name_of(projection)
    cursors.hold(name)
    position, head = _subscription(name)
    catch_up(rebuild, projection, until=head)
    shadow.lock(shadow.live(table), milliseconds=LOCK_MILLISECONDS)
    if shadow.form(shadow.shadow(table)) != shadow.form(shadow.live(table)):
        raise RebuildFailed(f"{table} was migrated while it was rebuilt: rebuild it once more.")
    if not records.become(rebuild.id, "swapped"):
        raise Stopped(f"The rebuild of {name} was cancelled.")
    records.forget_replaced(name)
    records.keep_place(rebuild.id, position=position, parked=_take_parked(name))
    shadow.replace(table)
    cursors.move(name, head)


def _subscription(name: str) -> tuple[int, int]:
    """Its cursor, and how far it may read: what was passed stays passed, wherever the fence is."""
    ((position, head),) = rows(SUBSCRIPTION, [name])
    return int(position), int(head)


def _take_parked(name: str) -> str | None:
    ((parked,),) = rows(PARKED, [name])
    execute(UNPARK, [name]).close()
    return parked if parked is None else str(parked)


def _note_who_is_in_the_way(rebuild: Rebuilding, projection: Projection) -> None:
    found = rows(IN_THE_WAY, [shadow.live(shadow.name_of(projection))])
    records.wait(rebuild.id, found[0][0] if found else "")
