"""Cursors over the outbox: claim one, read the messages between it and the fence, move it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from django.db import transaction
from psycopg import sql

from eventstore import codec, registry
from eventstore.log import epochs
from eventstore.messages import Message, Metadata
from eventstore.postgres import atomic, execute, rows, rows_in_binary

# Cursors besides those of the wiring. SNAPSHOTS: up to where snapshots were taken.
SNAPSHOTS = "eventstore.snapshots"
# Up to where the outbox has been cleared; older messages are only in the log.
CLEARED = "eventstore.outbox"

# A result of `look`, besides subscriptions: a deadline has passed. Saves a query per second.
DEADLINES = "eventstore.deadlines"
# Another one: a webhook is due.
WEBHOOKS = "eventstore.webhooks"

# A step reads at most this many positions ahead.
WINDOW = 10_000

# A new subscription begins at the fence or before it: nothing can appear there later. A cursor
# ahead of the fence would skip the next events.
ENSURE_CURSORS = """
    INSERT INTO eventstore_subscription (name, position)
    SELECT name, CASE WHEN after < 0 THEN fence ELSE least(after, fence) END
    FROM unnest(%s::text[], %s::bigint[]) AS subscription(name, after),
         eventstore_fence() AS fence
    ON CONFLICT DO NOTHING
"""
# The fence may move back behind a cursor: an appender that was suspended between reading the
# sequence and taking its lock holds an old number. A cursor never moves back for that.
CURSOR = """
    SELECT position, greatest(position, eventstore_fence()), eventstore_has_parked(name),
           (SELECT position FROM eventstore_subscription WHERE name = 'eventstore.outbox'),
           moved_at, now()
    FROM eventstore_subscription
    WHERE name = %s
"""
# Not while the log waits for its next epoch: the cursors show how much of the log is complete.
CLAIM = CURSOR + "AND NOT paused AND eventstore_mark() IS NOT NULL FOR UPDATE SKIP LOCKED"
CLAIM_IDLE = "SELECT eventstore_claim_idle(%s)"
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
# Statements are planned when a process starts, when the tables may be small. LATERAL … LIMIT 1 asks
# for each row through an index, so that the plan stays good when the tables have grown; a plain
# join may become a scan. A subscription reads all types but those that it is known not to handle,
# because a type that only newer code knows may concern it. {types}: see _with_types.
READ = f"""
    SELECT {COLUMNS}
    FROM (
        SELECT * FROM eventstore_outbox
        WHERE position > %s AND position <= %s
          AND (topic = %s OR (topic = 'event' AND type <> ALL({{types}})))
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
# For a subscription whose cursor is before the oldest row of the outbox.
READ_FROM_LOG = """
    SELECT position, id, stream, version, type, schema_version, data,
           correlation_id, causation_id, metadata, recorded_at
    FROM eventstore_event
    WHERE position > %s AND position <= %s AND type <> ALL({types})
    ORDER BY position
    LIMIT %s
"""
MOVE = """
    UPDATE eventstore_subscription
    SET position = %s, moved_at = now()
    WHERE name = %s
"""
# A subscription has work when a message for it is ahead, when a parked message is due, or when more
# than 2000 positions of any kind are ahead: then moving the cursor is cheaper than skipping the
# same rows each time. So the query looks at no more than 2000 positions, once for all
# subscriptions.
WORK = """
    WITH fence AS MATERIALIZED (
        SELECT eventstore_fence() AS position
    ), ahead AS MATERIALIZED (
        SELECT topic, type, max(outbox.position) AS position
        FROM eventstore_outbox AS outbox, fence
        WHERE outbox.position <= fence.position AND outbox.position > greatest(
            fence.position - 2000,
            (SELECT min(position) FROM eventstore_subscription WHERE NOT paused AND name = ANY(%s))
        )
        GROUP BY topic, type
    ), messages AS MATERIALIZED (
        SELECT topic AS name, position FROM ahead WHERE topic <> 'event'
        UNION ALL
        SELECT handles.name, position
        FROM ahead JOIN unnest(%s::text[], %s::text[]) AS handles(name, type) USING (type)
        WHERE topic = 'event'
    )
    SELECT name
    FROM eventstore_subscription AS subscription, fence
    WHERE NOT paused AND name = ANY(%s) AND (
        EXISTS (
            SELECT FROM messages
            WHERE messages.name = subscription.name AND messages.position > subscription.position
        )
        OR name = ANY(ARRAY(SELECT eventstore_subscriptions_due(%s)))
        OR fence.position - subscription.position > 2000
        OR subscription.position < (
            SELECT position FROM eventstore_subscription WHERE name = 'eventstore.outbox'
        )
    )
    UNION ALL
    SELECT 'eventstore.deadlines'
    WHERE (
        SELECT id FROM eventstore_saga WHERE deadline_at <= now() ORDER BY deadline_at LIMIT 1
    ) IS NOT NULL
    UNION ALL
    SELECT 'eventstore.webhooks'
    WHERE EXISTS (
        SELECT FROM eventstore_webhook_endpoint AS endpoint
        WHERE status = 'enabled' AND queued > 0 AND rest_until <= now() AND EXISTS (
            SELECT FROM eventstore_webhook_delivery
            WHERE endpoint_id = endpoint.id AND status IN ('waiting', 'leased') AND due_at <= now()
        )
    )
    UNION ALL
    SELECT NULL WHERE eventstore_mark() IS DISTINCT FROM %s
"""


# Deletes what every subscription has passed and no parked message needs. Rows that a parked message
# still needs (left_behind) are deleted by a later run. A retention may keep millions of rows; they
# are nearly in the order of time, so the search stops at the first row that is too young. Parked
# messages are searched by subscription, because the indexes begin with it; subscriptions that no
# longer exist are included.
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
        SELECT min(position) AS position
        FROM eventstore_subscription
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
        WHERE position > %s AND position <= coalesce(
            (SELECT position - 1 FROM young), (SELECT position FROM ahead)
        )
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
PAUSE = """
    UPDATE eventstore_subscription
    SET paused = %s
    WHERE name = %s AND paused <> %s
    RETURNING position
"""
POSITION = "SELECT position FROM eventstore_subscription WHERE name = %s"


IS_FAR_BEHIND = """
    SELECT paused OR eventstore_fence() - position > %s
    FROM eventstore_subscription
    WHERE name = %s
"""


class Claim(NamedTuple):
    """A locked cursor.

    position: of the cursor. fence: how far may be read. parked: whether the subscription has parked
    messages. until: how far this step reads; the cursor moves there if the step takes all of it.
    from_log: this part of the outbox has been cleared, so it is read from the log. moved_at, at:
    when the cursor last moved and when it was claimed, by the database's clock.
    """

    position: int
    fence: int
    until: int
    parked: bool
    from_log: bool
    moved_at: datetime
    at: datetime


def ensure_cursors() -> None:
    """Create the missing cursors of the wiring's subscriptions: at the beginning of the log, or
    after the position that the subscription names."""
    begins = {name: getattr(each, "after", 0) for name, each in registry.subscriptions().items()}
    begins |= {SNAPSHOTS: 0, CLEARED: 0}
    with atomic():
        # Not while the outbox is cleared: `clear` would not see the new subscription, nor the
        # subscription what is cleared.
        hold(CLEARED)
        execute(ENSURE_CURSORS, [list(begins), list(begins.values())]).close()


def work() -> set[str]:
    """The subscriptions that have work; one query."""
    return look() - {DEADLINES, WEBHOOKS}


def look() -> set[str]:
    """As work, and DEADLINES if a deadline has passed, WEBHOOKS if a webhook is due. The same query
    finds out whether a new epoch of the log has begun or must begin. Raises epochs.LogRestored."""
    found = {name for (name,) in rows(WORK, [*_params_of_work(), epochs.known_mark()])}
    if None in found:
        epochs.renew()
    return found - {None}


def claim(name: str) -> Claim | None:
    """Lock the subscription's cursor for this transaction. None if the subscription is paused or
    another worker holds it."""
    found = rows(CLAIM, [name])
    return _claim(*found[0]) if found else None


def claim_idle(names: Iterable[str]) -> set[str]:
    """Lock those of the subscriptions that have nothing to do, for this transaction; see
    sql/functions/eventstore_claim_idle.sql."""
    return {name for (name,) in rows(CLAIM_IDLE, [list(names)])}


def claimed(row: tuple[Any, ...], *, after: int | None) -> Claim:
    """A row of CURSOR. after: as if the cursor stood there, if not None."""
    position, *rest = row
    return _claim(position if after is None else after, *rest)


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
    after, until = claimed.position, claimed.until
    if claimed.from_log:
        return read_from_log(name, after=after, until=until, limit=limit)
    found = rows_in_binary(_with_types(READ, name), [after, until, name, limit])
    return [_message(name, row) for row in found]


def read_from_log(name: str, *, after: int, until: int, limit: int) -> list[Message]:
    """The events that the subscription handles between two positions, whatever its cursor."""
    found = rows_in_binary(_with_types(READ_FROM_LOG, name), [after, until, limit])
    return [_message(name, row) for row in found]


def following(name: str) -> Message | None:
    """The next message that the subscription would read, paused or not. Hold the subscription when
    you call it."""
    position, *rest = rows(CURSOR, [name])[0]
    while (claimed := _claim(position, *rest)).until > position:
        if found := read(name, claimed, 1):
            return found[0]
        position = claimed.until
    return None


def read_at(name: str, positions: Sequence[int]) -> list[Message]:
    if not positions:
        return []
    return [_message(name, row) for row in rows_in_binary(READ_AT, [list(positions)])]


def move(name: str, position: int) -> None:
    assert transaction.get_connection().in_atomic_block, (
        "A cursor must move in the transaction of the effects that it acknowledges."
    )
    execute(MOVE, [position, name]).close()


def position_of(name: str) -> int:
    """Where a cursor is. Call it while the cursor is locked."""
    ((position,),) = rows(POSITION, [name])
    return int(position)


def is_far_behind(name: str, positions: int) -> bool:
    """Whether the subscription is paused, or more than so many positions behind."""
    found = rows(IS_FAR_BEHIND, [positions, name])
    return bool(found and found[0][0])


def set_paused(name: str, paused: bool) -> bool:
    """Returns False when the subscription was already so."""
    return bool(rows(PAUSE, [paused, name, paused]))


def clear(*, retention: timedelta, limit: int = 10_000) -> int:
    """Delete the rows that every subscription has passed and that are older than the retention.
    Returns how many rows were passed."""
    with atomic():
        claimed = claim(CLEARED)
        if claimed is None:
            return 0
        start = claimed.position
        ((last, count),) = rows(CLEAR, [start, retention, start, limit, start, start])
        if last is not None:
            move(CLEARED, last)
    return int(count)


def event_types_of(name: str) -> Sequence[str]:
    """The stored names of the events that a subscription handles, former names included."""
    handled = registry.subscriptions()[name].handles
    current = [registry.stored_name_for(name, cls) for cls in handled]
    return [*current, *(old for old, new in registry.renamed().items() if new in current)]


@cache
def _params_of_work() -> Sequence[Sequence[str]]:
    """The parameters of WORK: the subscriptions; pairs of subscription and handled type; and the
    subscriptions twice more."""
    names = list(registry.subscriptions())
    pairs = [(name, stored) for name in names for stored in event_types_of(name)]
    return names, [name for name, _ in pairs], [stored for _, stored in pairs], names, names


@cache
def _with_types(statement: str, name: str) -> str:
    """The statement for a subscription: with the stored names that it does not handle, or with
    NULL, which excludes all events, for one that handles none.

    They are constants of its text: PostgreSQL looks into a list of constants by a hash, and
    compares each row with each element of a parameter (PostgreSQL 15 and later).
    """
    handled = event_types_of(name)
    known = (*registry.types(), *registry.renamed())
    excluded = [each for each in known if each not in handled] if handled else None
    types = sql.Literal(excluded).as_string(None).replace("%", "%%")
    return statement.replace("{types}", f"{types}::text[]")


def _message(name: str, row: tuple[Any, ...]) -> Message:
    position, id_, key, version, type_, schema, data, correlation, cause, fields, at = row
    body: Any
    try:
        body = registry.reader_for(name, type_, schema)(data)
    except (registry.UnknownType, codec.Undecodable) as error:
        # Delivery parks the message with this error and goes on.
        body = error
    # An event has columns for its ids; any other message has all of its metadata as JSON.
    metadata = (
        codec.metadata(correlation, cause, fields) if version else codec.decoder(Metadata)(fields)
    )
    return Message(
        position=position,
        id=id_,
        stream=key,
        version=version,
        type=type_,
        body=body,
        metadata=metadata,
        recorded_at=at,
    )
