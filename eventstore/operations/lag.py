"""How far each subscription is behind the log: in positions, in messages that it hears, and in
seconds."""

from datetime import datetime
from typing import NamedTuple

from eventstore import registry
from eventstore.log import epochs
from eventstore.outbox import cursors
from eventstore.postgres import rows

# Between two cursors, so many messages are counted and no more: a subscription that stands a
# million behind is looked at as quickly as one that stands ten thousand behind.
COUNTED = 10_000

# However many subscriptions there are, what lies ahead is read once: each message is counted in the
# stretch between two cursors that it lies in, and a subscription then adds up the stretches ahead
# of its own cursor. A cursor that nobody of the wiring holds any more begins no stretch, or it
# would make every look read what only it has not passed.
# What has been cleared from the outbox is counted in the log, as it is read from there.
LAG = """
    WITH hears AS MATERIALIZED (
        SELECT name, type FROM unnest(%s::text[], %s::text[]) AS hears(name, type)
    ), bounds AS MATERIALIZED (
        SELECT coalesce((SELECT position FROM eventstore_subscription
            WHERE name = 'eventstore.outbox'), 0) AS cleared,
               eventstore_fence() AS fence
    ), stretches AS MATERIALIZED (
        SELECT position AS after, least(coalesce(lead(position) OVER (ORDER BY position), fence),
            fence) AS until,
               cleared
        FROM (SELECT DISTINCT position FROM eventstore_subscription
            WHERE name = ANY(%s)) AS cursors, bounds
    ), ahead AS MATERIALIZED (
        SELECT after, topic, type, count(*) AS messages, min(at) AS oldest
        FROM stretches
        CROSS JOIN LATERAL (
            (SELECT topic, type, created_at AS at
             FROM eventstore_outbox
             WHERE position > greatest(after, cleared) AND position <= until
             ORDER BY position
             LIMIT %s)
            UNION ALL
            (SELECT 'event', type, recorded_at
             FROM eventstore_event
             WHERE position > after AND position <= least(until, cleared)
             ORDER BY position
             LIMIT %s)
        ) AS messages
        GROUP BY after, topic, type
    ), cut AS MATERIALIZED (
        SELECT max(after) AS after FROM (SELECT after
            FROM ahead GROUP BY after HAVING sum(messages) >= %s) AS long
    ), owed AS (
        SELECT subscription.name, sum(ahead.messages) AS messages, min(ahead.oldest) AS oldest
        FROM eventstore_subscription AS subscription
        JOIN ahead ON ahead.after >= subscription.position AND (ahead.topic = subscription.name OR (
            ahead.topic = 'event' AND EXISTS (
                SELECT FROM hears WHERE hears.name = subscription.name AND hears.type = ahead.type
            )
        ))
        GROUP BY subscription.name
    ), parked AS MATERIALIZED (
        SELECT subscription, count(*) FILTER (WHERE status <> 'dead') AS alive,
               count(*) FILTER (WHERE status = 'dead') AS dead
        FROM (SELECT subscription, status FROM eventstore_parked OFFSET 0) AS one
        GROUP BY subscription
    )
    SELECT subscription.name, subscription.position, greatest(subscription.position, fence),
        subscription.paused, subscription.moved_at,
           coalesce(owed.messages, 0)::bigint,
           greatest(0, coalesce(extract(epoch
               FROM clock_timestamp() - owed.oldest), 0))::double precision,
           coalesce(parked.alive, 0), coalesce(parked.dead, 0),
               coalesce(subscription.position <= cut.after, false)
    FROM bounds, cut, eventstore_subscription AS subscription
    LEFT JOIN owed ON owed.name = subscription.name
    LEFT JOIN parked ON parked.subscription = subscription.name
    ORDER BY subscription.name
"""


class Lag(NamedTuple):
    """Where a subscription stands.

    fence: the position up to which the log may be read. events: messages ahead of the cursor that
    it hears or that are owed to it. seconds: the age of the oldest of these. parked: passed by the
    cursor and not settled. dead: given up.
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
    is_cut: bool

    @property
    def is_behind(self) -> bool:
        return bool(self.events or self.is_cut)

    @property
    def amount(self) -> str:
        """The messages ahead, for people."""
        return f"{self.events} or more" if self.is_cut else str(self.events)

    @property
    def positions(self) -> int:
        return epochs.given(self.position, self.fence)


def lags() -> list[Lag]:
    """Every cursor that there is, by name; one query."""
    names = list(registry.subscriptions())
    pairs = [(name, stored) for name in names for stored in cursors.event_types_of(name)]
    handles = [name for name, _ in pairs], [stored for _, stored in pairs]
    found = rows(LAG, [*handles, names, COUNTED, COUNTED, COUNTED])
    return [Lag(name, kind(name), *rest) for name, *rest in found]


def kind(name: str) -> str:
    """What a subscription is, in a word; "retired" when the wiring has it no more."""
    subscription = registry.subscriptions().get(name)
    return (
        OUR_OWN.get(name, "retired")
        if subscription is None
        else type(subscription).__name__.lower()
    )


# Cursors of the engine, which hear nothing.
OUR_OWN = {cursors.SNAPSHOTS: "snapshots", cursors.CLEARED: "clearing"}
