"""How far each subscription is behind the log: in positions, in messages and in seconds."""

from datetime import datetime
from typing import NamedTuple

from eventstore import registry
from eventstore.log import epochs
from eventstore.outbox import cursors
from eventstore.postgres import rows

# At most this many messages are counted between two cursors: the query for a subscription that is a
# million behind takes no longer than for one that is ten thousand behind.
COUNTED = 10_000

# Messages ahead are read once, however many subscriptions there are: each is counted in the stretch
# between two cursors that it lies in, and a subscription adds up the stretches ahead of its cursor.
# Cursors that are not in the wiring begin no stretch; otherwise each query would read everything
# that only they have not passed.
# Messages that were cleared from the outbox are counted in the log, from which they are read.
LAG = """
    WITH handled AS MATERIALIZED (
        SELECT name, type FROM unnest(%s::text[], %s::text[]) AS handled(name, type)
    ), bounds AS MATERIALIZED (
        SELECT coalesce((SELECT position FROM eventstore_subscription
                         WHERE name = 'eventstore.outbox'), 0) AS cleared,
               eventstore_fence() AS fence
    ), stretches AS MATERIALIZED (
        SELECT position AS after,
               least(coalesce(lead(position) OVER (ORDER BY position), fence), fence) AS until,
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
        SELECT max(after) AS after
        FROM (SELECT after FROM ahead GROUP BY after HAVING sum(messages) >= %s) AS long
    ), pending AS (
        SELECT subscription.name, sum(ahead.messages) AS messages, min(ahead.oldest) AS oldest
        FROM eventstore_subscription AS subscription
        JOIN ahead ON ahead.after >= subscription.position AND (ahead.topic = subscription.name OR (
            ahead.topic = 'event' AND EXISTS (
                SELECT FROM handled
                WHERE handled.name = subscription.name AND handled.type = ahead.type
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
           coalesce(pending.messages, 0)::bigint,
           greatest(0, coalesce(extract(epoch FROM clock_timestamp() - pending.oldest), 0)
               )::double precision,
           coalesce(parked.alive, 0), coalesce(parked.dead, 0),
           coalesce(subscription.position <= cut.after, false)
    FROM bounds, cut, eventstore_subscription AS subscription
    LEFT JOIN pending ON pending.name = subscription.name
    LEFT JOIN parked ON parked.subscription = subscription.name
    ORDER BY subscription.name
"""


class Lag(NamedTuple):
    """The lag of a subscription.

    fence: the position up to which the log may be read. events: messages for it ahead of its
    cursor. seconds: the age of the oldest of these. parked: messages passed by the cursor and not
    settled. dead: dead letters. is_cut: whether there may be more messages than were counted.
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
    def is_in_wiring(self) -> bool:
        """Neither retired nor a cursor of the engine."""
        return self.kind != "retired" and self.name not in OUR_OWN

    @property
    def state(self) -> str:
        """The most severe that is true of it, in a word or two."""
        if self.kind == "retired":
            return "retired"
        if self.name in OUR_OWN:
            return "internal"
        if self.paused:
            return "paused"
        if self.dead:
            return "dead letters"
        return "behind" if self.is_behind else "up to date"

    @property
    def is_behind(self) -> bool:
        return bool(self.events or self.is_cut)

    @property
    def amount(self) -> str:
        """The number of messages ahead, as text."""
        return f"{self.events} or more" if self.is_cut else str(self.events)

    @property
    def positions(self) -> int:
        return epochs.given(self.position, self.fence)


def lags() -> list[Lag]:
    """The lag of every cursor in the table, by name; one query."""
    names = list(registry.subscriptions())
    pairs = [(name, stored) for name in names for stored in cursors.event_types_of(name)]
    handled = [name for name, _ in pairs], [stored for _, stored in pairs]
    found = rows(LAG, [*handled, names, COUNTED, COUNTED, COUNTED])
    return [Lag(name, kind(name), *rest) for name, *rest in found]


def kind(name: str) -> str:
    """The kind of a subscription, such as "projection"; "retired" if it is not in the wiring."""
    subscription = registry.subscriptions().get(name)
    if subscription is None:
        return OUR_OWN.get(name, "retired")
    return type(subscription).__name__.lower()


# Cursors of the engine, which handle no messages.
OUR_OWN = {cursors.SNAPSHOTS: "snapshots", cursors.CLEARED: "clearing"}
