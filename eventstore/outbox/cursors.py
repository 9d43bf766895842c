"""Cursors over the outbox: claim one, read what lies between it and the fence, move it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from django.db import transaction

from eventstore import codec, registry
from eventstore.log import epochs
from eventstore.messages import Message, Metadata
from eventstore.postgres import atomic, execute, rows, rows_in_binary

# The cursor of who takes snapshots: a subscription beside those of the wiring.
SNAPSHOTS = "eventstore.snapshots"
# How far the outbox has been cleared; what lies before it is only in the log.
CLEARED = "eventstore.outbox"

# Beside the subscriptions that have work: that a deadline has passed. One question less for who
# asks every second.
DEADLINES = "eventstore.deadlines"

# A step looks no further ahead than this.
WINDOW = 10_000

# Where a subscription begins, a cut is made through the log as any reader makes one: nothing will
# appear at or before the fence any more, and all that comes later is behind it. A cursor ahead of
# the log would pass by what is written next.
ENSURE_CURSORS = """
    INSERT INTO eventstore_subscription (name, position)
    SELECT name, CASE WHEN after < 0 THEN fence ELSE least(after, fence) END
    FROM unnest(%s::text[], %s::bigint[]) AS subscription(name, after),
         eventstore_fence() AS fence
    ON CONFLICT DO NOTHING
"""
# The fence may fall back behind a cursor: an appender that was stopped between its look at the
# sequence and its lock holds an old number. What was passed stays passed.
CURSOR = """
    SELECT position, greatest(position, eventstore_fence()), eventstore_has_parked(name),
           (SELECT position FROM eventstore_subscription
               WHERE name = 'eventstore.outbox'), moved_at, now()
    FROM eventstore_subscription
    WHERE name = %s
"""
# Not while the log waits for its next epoch: where the subscriptions stood tells how much of it is
# whole.
CLAIM = CURSOR + "AND NOT paused AND eventstore_mark() IS NOT NULL FOR UPDATE SKIP LOCKED"
HOLD = """
    SELECT
    FROM eventstore_subscription
    WHERE name = %s
    FOR UPDATE
"""
COLUMNS = """
    coalesce(outbox.position, event.position), coalesce(event.id, outbox.id),
    coalesce(outbox.key, event.stream),
    coalesce(event.version, 0), coalesce(outbox.type, event.type),
    coalesce(event.schema_version, 1), coalesce(event.data, outbox.payload),
    event.correlation_id, event.causation_id, coalesce(event.metadata, outbox.metadata),
    coalesce(event.recorded_at, outbox.created_at)
"""
# Statements are planned when a process begins, and then the tables may be small. So that a plan
# stays good when they have grown, each asks for its rows one by one through an index (LATERAL …
# LIMIT 1): a plain join may become a scan. A subscription reads all but what it is known not to
# hear: an event of a type that only newer code knows may concern it.
READ = f"""
    SELECT {COLUMNS}
    FROM (
        SELECT * FROM eventstore_outbox
        WHERE position > %s AND position <= %s
          AND (topic = %s OR (topic = 'event' AND type <> ALL(%s)))
        ORDER BY position
        LIMIT %s
    ) AS outbox
    LEFT JOIN LATERAL (
        SELECT * FROM eventstore_event WHERE eventstore_event.position = outbox.position LIMIT 1
    ) AS event ON true
    ORDER BY outbox.position
"""
READ_AT = f"""
    SELECT {COLUMNS}
    FROM unnest(%s::bigint[]) AS wanted(position)
    LEFT JOIN LATERAL (
        SELECT * FROM eventstore_outbox WHERE eventstore_outbox.position = wanted.position LIMIT 1
    ) AS outbox ON true
    LEFT JOIN LATERAL (
        SELECT * FROM eventstore_event WHERE eventstore_event.position = wanted.position LIMIT 1
    ) AS event ON true
    WHERE outbox.position IS NOT NULL OR event.position IS NOT NULL
    ORDER BY wanted.position
"""
# For a subscription that is younger than the oldest row of the outbox.
READ_FROM_LOG = """
    SELECT position, id, stream, version, type, schema_version, data,
           correlation_id, causation_id, metadata, recorded_at
    FROM eventstore_event
    WHERE position > %s AND position <= %s AND type <> ALL(%s)
    ORDER BY position
    LIMIT %s
"""
MOVE = """
    UPDATE eventstore_subscription
    SET position = %s, moved_at = now()
    WHERE name = %s
"""
# A subscription has work when something it hears lies ahead, when a parked message is due, or when
# so much lies ahead, heard or not, that passing over it again and again would cost more than moving
# the cursor. So no more than that is looked at, once for all subscriptions.
WORK = """
    WITH fence AS MATERIALIZED (
        SELECT eventstore_fence() AS position
    ), ahead AS MATERIALIZED (
        SELECT topic, type, max(outbox.position) AS position
        FROM eventstore_outbox AS outbox, fence
        WHERE outbox.position <= fence.position
            AND outbox.position > greatest(fence.position - 2000, (
            SELECT min(position) FROM eventstore_subscription WHERE NOT paused AND name = ANY(%s)
        ))
        GROUP BY topic, type
    ), heard AS MATERIALIZED (
        SELECT topic AS name, position FROM ahead WHERE topic <> 'event'
        UNION ALL
        SELECT hears.name, position
        FROM ahead JOIN unnest(%s::text[], %s::text[]) AS hears(name, type) USING (type)
        WHERE topic = 'event'
    )
    SELECT name
    FROM eventstore_subscription AS subscription, fence
    WHERE NOT paused AND name = ANY(%s) AND (
        EXISTS (SELECT FROM heard WHERE heard.name = subscription.name
            AND heard.position > subscription.position)
        OR name = ANY(ARRAY(SELECT eventstore_subscriptions_due(%s)))
        OR fence.position - subscription.position > 2000
        OR subscription.position < (SELECT position FROM eventstore_subscription
            WHERE name = 'eventstore.outbox')
    )
    UNION ALL
    SELECT 'eventstore.deadlines'
    WHERE (SELECT id FROM eventstore_saga WHERE deadline_at <= now() ORDER BY deadline_at
        LIMIT 1) IS NOT NULL
    UNION ALL
    SELECT NULL WHERE eventstore_mark() IS DISTINCT FROM %s
"""


# What every subscription has passed and nothing parked points to; those left behind for that reason
# go later. A retention may keep millions of rows: they are nearly in the order of time, so the look
# ends at the first young one. What is parked is looked for subscription by subscription, as its
# indexes begin with the subscription; also of subscriptions that are no more.
CLEAR = """
    WITH RECURSIVE subscriptions(name) AS (
        (SELECT subscription FROM eventstore_parked ORDER BY subscription, position LIMIT 1)
        UNION ALL
        SELECT following.name
        FROM subscriptions
        CROSS JOIN LATERAL (
            SELECT subscription AS name FROM eventstore_parked
            WHERE subscription > subscriptions.name ORDER BY subscription, position LIMIT 1
        ) AS following
    ), ahead AS MATERIALIZED (
        SELECT min(position) AS position FROM eventstore_subscription
            WHERE name <> 'eventstore.outbox'
    ), young AS MATERIALIZED (
        SELECT position
        FROM (
            SELECT position, created_at FROM eventstore_outbox
            WHERE position > %s AND position <= (SELECT position FROM ahead)
            ORDER BY position
        ) AS page
        WHERE created_at >= now() - %s
        ORDER BY position
        LIMIT 1
    ), passed AS MATERIALIZED (
        SELECT position
        FROM eventstore_outbox
        WHERE position > %s AND position <= coalesce((SELECT position - 1
            FROM young), (SELECT position FROM ahead))
        ORDER BY position
        LIMIT %s
    ), left_behind AS MATERIALIZED (
        SELECT position FROM eventstore_outbox WHERE position <= %s ORDER BY position
    ), parked AS MATERIALIZED (
        SELECT held.position
        FROM subscriptions
        CROSS JOIN LATERAL (
            SELECT position FROM eventstore_parked
            WHERE subscription = subscriptions.name
                AND position <= coalesce((SELECT max(position) FROM passed), %s)
            ORDER BY subscription, position
        ) AS held
    ), cleared AS (
        DELETE FROM eventstore_outbox
        WHERE position = ANY(ARRAY(
            (SELECT position FROM passed UNION ALL SELECT position FROM left_behind)
            EXCEPT
            SELECT position FROM parked
        ))
    )
    SELECT max(position), count(*) FROM passed
"""


class Claim(NamedTuple):
    """position: the cursor. fence: how far may be read. parked: whether anything waits beside the
    subscription.

    until: how far this step reads, and moves the cursor if there is no more than it takes.
    from_log: whether this part of the outbox has been cleared, so that it must be read from the
    log. moved_at, at: when the cursor last moved, and when it was claimed, by the database's clock.
    """

    position: int
    fence: int
    until: int
    parked: bool
    from_log: bool
    moved_at: datetime
    at: datetime


def ensure_cursors() -> None:
    """Give every subscription of the wiring its cursor, at the beginning of the log or behind the
    position it names."""
    begins = {name: getattr(each, "after", 0) for name, each in registry.subscriptions().items()}
    begins |= {SNAPSHOTS: 0, CLEARED: 0}
    with atomic():
        # Not while the outbox is cleared: who clears could not know of the new subscription, nor
        # the subscription of what is cleared.
        hold(CLEARED)
        execute(ENSURE_CURSORS, [list(begins), list(begins.values())]).close()


def work() -> set[str]:
    """The subscriptions that have something to do; one query."""
    return look() - {DEADLINES}


def look() -> set[str]:
    """As work, and DEADLINES if a deadline has passed that was not told. The one query tells too
    whether another epoch of the log has begun, or has to. Raises epochs.LogRestored."""
    found = {name for (name,) in rows(WORK, [*_wiring(), epochs.known_mark()])}
    if None in found:
        epochs.renew()
    return found - {None}


def claim(name: str) -> Claim | None:
    """Lock the subscription's cursor for this transaction; None when it is paused or another worker
    has it."""
    found = rows(CLAIM, [name])
    return _claim(*found[0]) if found else None


def _claim(
    position: int, fence: int, parked: bool, cleared: int | None, moved_at: datetime, at: datetime
) -> Claim:
    from_log = cleared is not None and position < cleared
    until = min(fence, epochs.beyond_gap(min(position + WINDOW, fence)))
    until = min(until, cleared) if cleared is not None and from_log else until
    return Claim(position, fence, until, parked, from_log, moved_at, at)


def hold(name: str) -> None:
    """Wait for the subscription's cursor and lock it for this transaction, paused or not."""
    execute(HOLD, [name]).close()


def read(name: str, claimed: Claim, limit: int) -> list[Message]:
    between, unheard = [claimed.position, claimed.until], _unheard(name)
    if claimed.from_log:
        return [
            _message(name, row) for row in rows_in_binary(READ_FROM_LOG, [*between, unheard, limit])
        ]
    return [_message(name, row) for row in rows_in_binary(READ, [*between, name, unheard, limit])]


def following(name: str) -> Message | None:
    """The next message that the subscription would read, paused or not. Call it while the
    subscription is held."""
    position, *rest = rows(CURSOR, [name])[0]
    while (claimed := _claim(position, *rest)).until > position:
        if found := read(name, claimed, 1):
            return found[0]
        position = claimed.until
    return None


def read_at(name: str, positions: Sequence[int]) -> list[Message]:
    return (
        [_message(name, row) for row in rows_in_binary(READ_AT, [list(positions)])]
        if positions
        else []
    )


def move(name: str, position: int) -> None:
    assert transaction.get_connection().in_atomic_block, (
        "The cursor moves in the commit of what it is the receipt of."
    )
    execute(MOVE, [position, name]).close()


def clear(*, retention: timedelta, limit: int = 10_000) -> int:
    """Remove rows that every subscription has passed and that are older than the retention; returns
    how many were passed."""
    with atomic():
        claimed = claim(CLEARED)
        if claimed is None:
            return 0
        stands = claimed.position
        ((last, count),) = rows(CLEAR, [stands, retention, stands, limit, stands, stands])
        if last is not None:
            move(CLEARED, last)
    return int(count)


def event_types_of(name: str) -> Sequence[str]:
    """The stored names of the events that a subscription hears, those of the past included."""
    today = [registry.name_heard(name, cls) for cls in registry.subscriptions()[name].handles]
    return [*today, *(past for past, now in registry.renamed().items() if now in today)]


@cache
def _wiring() -> Sequence[Sequence[str]]:
    """What WORK asks about: the subscriptions, which hears what, and the subscriptions again,
    twice."""
    names = list(registry.subscriptions())
    pairs = [(name, stored) for name in names for stored in event_types_of(name)]
    return names, [name for name, _ in pairs], [stored for _, stored in pairs], names, names


@cache
def _unheard(name: str) -> list[str] | None:
    """The stored names that a subscription does not hear; None for one that hears no events, of
    whatever type."""
    heard = event_types_of(name)
    return (
        [each for each in (*registry.types(), *registry.renamed()) if each not in heard]
        if heard
        else None
    )


def _message(name: str, row: tuple[Any, ...]) -> Message:
    (
        position,
        id_,
        key,
        version,
        type_,
        schema_version,
        data,
        correlation_id,
        causation_id,
        notes,
        at,
    ) = row
    metadata = (
        codec.metadata(correlation_id, causation_id, notes)
        if version
        else codec.decoder(Metadata)(notes)
    )
    return Message(
        position=position,
        id=id_,
        stream=key,
        version=version,
        type=type_,
        body=_body(name, type_, schema_version, data),
        metadata=metadata,
        recorded_at=at,
    )


def _body(name: str, type_: str, schema_version: int, data: str) -> Any:
    """The message, or the error that kept it from being read: delivery parks that one and goes
    on."""
    try:
        return registry.decode_for(name, type_, schema_version, data)
    except (registry.UnknownType, codec.Undecodable) as error:
        return error
