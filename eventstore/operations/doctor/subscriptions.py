"""Subscriptions: what blocks them, and which of them do not move."""

from collections.abc import Iterator
from typing import NamedTuple

from eventstore import registry, settings
from eventstore.log import fence_monitor
from eventstore.log.fence_monitor import FenceHolder
from eventstore.messaging import relay_leases
from eventstore.operations import lag
from eventstore.outbox import cursors as outbox
from eventstore.postgres import rows

from .findings import CRITICAL, WARNING, Finding, Limits
from .workers import is_worker_alive

# Rows that a worker has locked are skipped.
FREE = "SELECT name FROM eventstore_subscription FOR SHARE SKIP LOCKED"
CURSORS = """
    SELECT name, position, paused,
           extract(epoch FROM clock_timestamp() - moved_at)::double precision
    FROM eventstore_subscription
    ORDER BY name
"""
HOLDERS = f"""
    SELECT DISTINCT held.pid, coalesce(activity.usename, prepared.owner),
           coalesce(activity.application_name, ''),
           coalesce(activity.state, 'prepared'), coalesce(activity.query, ''),
           extract(epoch FROM clock_timestamp() - began)::integer, coalesce(prepared.gid, '')
    FROM pg_locks AS held
    {fence_monitor.HELD_BY}
    CROSS JOIN LATERAL (
        SELECT coalesce(activity.xact_start, prepared.prepared) AS began
    ) AS transaction
    WHERE held.relation = 'eventstore_subscription'::regclass AND held.granted
      AND held.mode IN ('RowShareLock', 'RowExclusiveLock')
      AND held.pid IS DISTINCT FROM pg_backend_pid()
      AND began < clock_timestamp() - %s
"""
PAUSED_BY = """
    SELECT who, reason
    FROM eventstore_operator_action
    WHERE subject = %s AND action = 'pause'
    ORDER BY id DESC
    LIMIT 1
"""
UNCLEARED = """
    SELECT extract(epoch FROM now() - created_at)::integer, position
    FROM (
        SELECT position, created_at
        FROM eventstore_outbox
        WHERE position > (SELECT position FROM eventstore_subscription
                          WHERE name = 'eventstore.outbox')
          AND position <= (SELECT min(position) FROM eventstore_subscription
                           WHERE name <> 'eventstore.outbox')
        ORDER BY position
        LIMIT 1
    ) AS oldest
    WHERE created_at < now() - %s
"""


class Cursor(NamedTuple):
    """idle_seconds: since it last moved."""

    name: str
    position: int
    is_paused: bool
    idle_seconds: float


def blocked_fence(limits: Limits) -> Iterator[Finding]:
    for holder in fence_monitor.fence_holders(longer_than=limits.fence):
        yield Finding(
            check="fence",
            severity=CRITICAL,
            what=f"An append has not committed for {holder.seconds:.1f} s ({holder.state}).",
            culprit=holder.who,
            why="No subscription sees events that were appended after it began.",
            mend=holder.end,
        )


def held_subscriptions(limits: Limits) -> Iterator[Finding]:
    holders = [FenceHolder(*row) for row in rows(HOLDERS, [limits.held])]
    if not holders:
        return
    held = sorted({each.name for each in _cursors()} - _free())
    for holder in holders if held else ():
        yield Finding(
            check="held-subscription",
            severity=CRITICAL,
            what=f"A transaction has locked {', '.join(held)} for {holder.seconds} s"
            f" ({holder.state}).",
            culprit=holder.who,
            why="No other process can deliver to it.",
            mend=holder.end,
        )


def dead_subscriptions(limits: Limits) -> Iterator[Finding]:
    """A subscription that is not locked, has work and does not move. Needs a living worker. A relay
    whose broker takes nothing is a finding of its own."""
    if not is_worker_alive(limits):
        return
    free, patience = _free(), limits.still.total_seconds()
    idle = {each.name: each.idle_seconds for each in _cursors()}
    failing = {each.name for each in relay_leases.states() if each.error}
    for each in lag.lags():
        is_ready = each.name in free - failing and not each.paused and each.events
        if is_ready and min(each.seconds, idle[each.name]) > patience:
            yield Finding(
                check="dead-subscription",
                severity=CRITICAL,
                what=f"{each.name} has {each.amount} messages ahead and has not moved for"
                f" {idle[each.name]:.0f} s.",
                culprit=f"{each.name} at position {each.position}; the workers' log has the error",
                why="Its messages are not processed.",
                mend=f"Look for {each.name} in the workers' log; manage.py work --once delivers in"
                " the foreground and shows the error.",
                subscription=each.name,
            )


def paused_subscriptions(limits: Limits) -> Iterator[Finding]:
    for cursor in _cursors():
        if cursor.is_paused:
            who, reason = next(iter(rows(PAUSED_BY, [cursor.name])), ("unknown", ""))
            yield Finding(
                check="paused-subscription",
                severity=WARNING,
                what=f"{cursor.name} is paused at position {cursor.position}.",
                culprit=f"{who} ({reason})" if reason else who,
                why="It processes no messages until it is resumed. The outbox keeps them.",
                mend=f"manage.py subscriptions resume {cursor.name}",
                subscription=cursor.name,
            )


def retired_subscriptions(limits: Limits) -> Iterator[Finding]:
    known = {*registry.subscriptions(), outbox.SNAPSHOTS, outbox.CLEARED}
    for cursor in _cursors():
        if cursor.name not in known:
            yield Finding(
                check="retired-subscription",
                severity=WARNING,
                what=f"{cursor.name} has a cursor at {cursor.position}, but is not in the wiring.",
                culprit=cursor.name,
                why="The outbox is never cleared beyond its cursor.",
                mend="If no older release needs it: DELETE FROM eventstore_subscription WHERE name"
                f" = '{cursor.name}';",
            )


def uncleared_outbox(limits: Limits) -> Iterator[Finding]:
    if not is_worker_alive(limits):
        return
    for seconds, position in rows(UNCLEARED, [settings.outbox_retention() + limits.uncleared]):
        yield Finding(
            check="outbox",
            severity=WARNING,
            what=f"The outbox still holds a message of {seconds} s ago that every subscription has"
            " passed.",
            culprit=f"position {position}; the task eventstore.clear_outbox does not run, or fails",
            why="The table grows without limit.",
            mend="Run Celery beat with the schedule of eventstore.defaults.beat_schedule()",
        )


def _cursors() -> list[Cursor]:
    return [Cursor(*row) for row in rows(CURSORS)]


def _free() -> set[str]:
    """The subscriptions that no process has locked."""
    return {name for (name,) in rows(FREE)}


CHECKS = (
    blocked_fence,
    held_subscriptions,
    dead_subscriptions,
    paused_subscriptions,
    retired_subscriptions,
    uncleared_outbox,
)
