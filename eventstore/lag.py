"""How far each subscription is behind the log: in positions, in messages that it hears, and in seconds."""

from datetime import datetime
from typing import NamedTuple

from . import outbox, registry
from .postgres import rows

# However many lanes there are, what lies ahead is read once, from the hindmost cursor on: each message is counted in
# the stretch between two cursors that it lies in, and a lane then adds up the stretches ahead of its own. A cursor that
# nobody of the wiring holds any more is not one of those, or it would make every look read the whole outbox.
# What has been cleared from the outbox is counted in the log, as it is read from there.
LAG = """
    WITH hears AS MATERIALIZED (
        SELECT name, type FROM unnest(%s::text[], %s::text[]) AS hears(name, type)
    ), marks AS MATERIALIZED (
        SELECT array_agg(DISTINCT position + 1 ORDER BY position + 1) AS cursors
        FROM eventstore_subscription
        WHERE name = ANY(%s)
    ), bounds AS MATERIALIZED (
        SELECT (SELECT cursors[1] FROM marks) AS first,
               coalesce((SELECT position FROM eventstore_subscription WHERE name = 'eventstore.outbox'), 0) AS cleared,
               eventstore_fence() AS fence
    ), ahead AS MATERIALIZED (
        SELECT width_bucket(position, (SELECT cursors FROM marks)) AS stretch, topic, type,
               count(*) AS messages, min(at) AS oldest
        FROM (
            SELECT position, topic, type, created_at AS at
            FROM eventstore_outbox
            WHERE position >= (SELECT greatest(first, cleared + 1) FROM bounds)
              AND position <= (SELECT fence FROM bounds)
            UNION ALL
            SELECT position, 'event', type, recorded_at
            FROM eventstore_event
            WHERE position >= (SELECT first FROM bounds) AND position <= (SELECT cleared FROM bounds)
        ) AS messages
        GROUP BY stretch, topic, type
    ), owed AS (
        SELECT lane.name, sum(ahead.messages) AS messages, min(ahead.oldest) AS oldest
        FROM marks, eventstore_subscription AS lane
        JOIN ahead ON ahead.topic = lane.name OR (ahead.topic = 'event' AND EXISTS (
            SELECT FROM hears WHERE hears.name = lane.name AND hears.type = ahead.type
        ))
        WHERE ahead.stretch >= width_bucket(lane.position + 1, cursors)
        GROUP BY lane.name
    ), parked AS (
        SELECT subscription, count(*) FILTER (WHERE status <> 'dead') AS alive,
               count(*) FILTER (WHERE status = 'dead') AS dead
        FROM eventstore_parked
        GROUP BY subscription
    )
    SELECT lane.name, lane.position, greatest(lane.position, fence), lane.paused, lane.moved_at,
           coalesce(owed.messages, 0)::bigint,
           greatest(0, coalesce(extract(epoch FROM clock_timestamp() - owed.oldest), 0))::double precision,
           coalesce(parked.alive, 0), coalesce(parked.dead, 0)
    FROM bounds, eventstore_subscription AS lane
    LEFT JOIN owed ON owed.name = lane.name
    LEFT JOIN parked ON parked.subscription = lane.name
    ORDER BY lane.name
"""


class Lag(NamedTuple):
    """Where a subscription stands.

    fence: the position up to which the log may be read. events: messages ahead of the cursor that it hears or that are
    owed to it. seconds: the age of the oldest of these. parked: passed by the cursor and not settled. dead: given up.
    """

    name: str
    kind: str
    position: int
    fence: int
    paused: bool
    moved_at: datetime
    events: int
    seconds: float
    parked: int
    dead: int

    @property
    def positions(self) -> int:
        return self.fence - self.position


def lags() -> list[Lag]:
    """Every cursor that there is, by name; one query."""
    names = list(registry.subscriptions())
    pairs = [(name, stored) for name in names for stored in outbox.hears(name)]
    found = rows(LAG, [[name for name, _ in pairs], [stored for _, stored in pairs], names])
    return [Lag(name, kind(name), *rest) for name, *rest in found]


def kind(name: str) -> str:
    """What a subscription is, in a word; "retired" when the wiring has it no more."""
    subscription = registry.subscriptions().get(name)
    return OUR_OWN.get(name, "retired") if subscription is None else type(subscription).__name__.lower()


# Cursors of the engine, which hear nothing.
OUR_OWN = {outbox.SNAPSHOTS: "snapshots", outbox.CLEARED: "clearing"}
