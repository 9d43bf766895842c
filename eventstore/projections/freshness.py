"""How fresh a read model is; and for who needs it fresher, a row of it as the log has it now.

The row that the read model holds is one query, together with where the read model stands. What is
recorded and not folded yet is folded here in memory by the projection's own functions, and kept
nowhere.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from eventstore import codec, log, registry, settings
from eventstore.aggregate import stream_name
from eventstore.messages import Event, Message
from eventstore.outbox import cursors
from eventstore.postgres import rows
from eventstore.subscriptions import Projection, Row

from . import fold as projections

# One statement, and the same few looks into indexes however far the subscription lies behind. CASE
# hides from the planner that few rows may be of these types: it would collect and sort all that
# waits, where the first is wanted. Of an outbox that is cleared further than the subscription has
# come, the log is asked, for each type by itself, and as pairs, for which only the index of types
# has the order.
# On the primary, whatever somebody was told of is visible. A replica may have the higher of two
# positions and not yet the lower, which committed later; so only what some subscription has passed
# is seen there, once all before it was.
STANDING = """
    SELECT subscription.position, least(ahead.position, held.position) AS waiting,
           greatest(0, coalesce(extract(epoch
               FROM clock_timestamp() - least(ahead.at, held.at)), 0))::float8 AS lag,
           CASE WHEN asked.follows
               THEN (SELECT max(position) FROM eventstore_subscription)
               ELSE greatest(subscription.position, (SELECT max(position) FROM eventstore_event))
           END AS seen
    FROM (SELECT %s::text AS name, %s::text[] AS heard, %s::boolean AS follows) AS asked
    LEFT JOIN eventstore_subscription AS subscription USING (name)
    LEFT JOIN eventstore_subscription AS cleared ON cleared.name = 'eventstore.outbox'
    LEFT JOIN LATERAL (
        (
            SELECT position, created_at AS at
            FROM eventstore_outbox
            WHERE position > subscription.position AND CASE WHEN topic = 'event'
                THEN type = ANY(heard) END
              AND (cleared.position IS NULL OR subscription.position >= cleared.position)
            ORDER BY position
            LIMIT 1
        )
        UNION ALL
        (
            SELECT position, at
            FROM unnest(heard) AS each(type)
            CROSS JOIN LATERAL (
                SELECT position, recorded_at AS at
                FROM eventstore_event AS event
                WHERE (event.type, position) > (each.type, subscription.position)
                    AND event.type <= each.type
                ORDER BY event.type, position
                LIMIT 1
            ) AS first
            WHERE subscription.position < cleared.position
            ORDER BY position
            LIMIT 1
        )
    ) AS ahead ON true
    LEFT JOIN LATERAL (SELECT place AS position, at
        FROM eventstore_parked_first(asked.name)) AS held ON true
"""
LOOK = f"""
    SELECT (SELECT row_to_json(kept)::text FROM {{table}} AS kept WHERE {{key}} = %s), standing.*
    FROM ({STANDING}) AS standing
"""
LAST_GIVEN = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM eventstore_position"

PRIMARY = "default"


class Progress(NamedTuple):
    """Where a read model stands, in the database that was asked.

    position: of its cursor, None when it has none yet. waiting: of the first event that it hears
    and has not taken, None when there is none. lag: since when that waits, in seconds. seen: up to
    where this database has all.
    """

    position: int | None
    waiting: int | None
    lag: float
    seen: int

    def holds(self, position: int) -> bool:
        """Whether all that was recorded up to this position and concerns the read model is in
        it."""
        if self.position is None:
            return False
        return position <= self.seen and (self.waiting is None or position < self.waiting)


class ReadModelSource(NamedTuple):
    """A read model. heard: the stored names that its subscription hears, as PostgreSQL writes an
    array. look: at one row."""

    subscription: str
    projection: Projection
    heard: str
    look: str


class RowAndProgress(NamedTuple):
    """row: an instance of the model, or None."""

    row: Any
    standing: Progress


class OwnStreams(NamedTuple):
    """Where the events of one row are found. categories: their streams are called after the row's
    key. strays: stored names of what comes from streams called otherwise."""

    categories: Sequence[str]
    foreign_types: Sequence[str]


def look(model: type[Any], key: str) -> RowAndProgress:
    """The row of the read model, in the database that queries are asked of; one statement."""
    kept, using = _kept(model), settings.query_database()
    ((row, *standing),) = rows(
        kept.look, [key, kept.subscription, kept.heard, using != PRIMARY], using=using
    )
    return RowAndProgress(
        _instance(kept.projection, codec.decode_json(row)) if row else None, Progress(*standing)
    )


def standing(model: type[Any], *, using: str) -> Progress:
    kept = _kept(model)
    (found,) = rows(STANDING, [kept.subscription, kept.heard, using != PRIMARY], using=using)
    return Progress(*found)


def recorded(model: type[Any], key: str) -> Any:
    """The row with all folded in that has been recorded; None when there is none."""
    projection = _kept(model).projection
    row = projections.load(model._meta.db_table, model._meta.pk.column, [key]).get(key)
    return _folded(projection, key, row, events(projection, key, row))


def as_of(
    model: type[Any], key: str, *, version: int | None = None, at: datetime | None = None
) -> Any:
    """The row as it was when its stream came to a version, or at a time; None when there was
    none."""
    projection = _kept(model).projection
    until = list[Message]()
    for message in events(projection, key, None):
        if at is not None and message.recorded_at > at:
            break
        until.append(message)
        if message.version == version and message.category == projection.category:
            break
    else:
        if version is not None:
            return None
    return _folded(projection, key, None, until) if until else None


def events(projection: Projection, key: str, row: Row | None) -> list[Message]:
    """The events of a row that are recorded and not in it, in global order."""
    categories, foreign_types = _own_streams(projection)
    version, position = (row["version"], row["position"]) if row else (0, 0)
    own = {
        stream_name(each, key): version if each == projection.category else 0 for each in categories
    }
    found = log.read_about(own, foreign_types=foreign_types, naming=key, after=position)
    return [
        each
        for each in found
        if type(each.body) in projection.evolve and projection.key(each.body) == key
    ]


def last_given() -> int:
    """The highest position that was ever given out; what lies beyond it nobody can have seen."""
    return int(rows(LAST_GIVEN)[0][0])


def _kept(model: type[Any]) -> ReadModelSource:
    return _read_models()[model]


@cache
def _read_models() -> Mapping[type[Any], ReadModelSource]:
    return {
        each.model: ReadModelSource(
            subscription=name,
            projection=each,
            heard="{" + ",".join(cursors.event_types_of(name)) + "}",
            look=LOOK.format(table=each.model._meta.db_table, key=each.model._meta.pk.column),
        )
        for name, each in registry.subscriptions().items()
        if isinstance(each, Projection)
    }


def _own_streams(projection: Projection) -> OwnStreams:
    key = str(projection.model._meta.pk.column)
    heard, categories = set(projection.evolve), list[str]()
    foreign_types: set[type[Event]] = set(heard)
    for aggregate in registry.aggregates().values():
        if aggregate.identity == key and not heard.isdisjoint(aggregate.evolve):
            categories.append(aggregate.category)
            foreign_types -= set(aggregate.evolve)
    return OwnStreams(categories, [registry.name_of_class(each) for each in foreign_types])


def _folded(projection: Projection, key: str, row: Row | None, events: Sequence[Message]) -> Any:
    """The row with these events in it, which may hold messages where the table holds JSON; None
    when there is none."""
    folded = projections.fold_one(projection, key, row, events)
    return (
        None
        if folded is None
        else _instance(projection, codec.decode_json(codec.encode_json(folded)))
    )


def _instance(projection: Projection, row: Row) -> Any:
    """The row as the model's own."""
    fields = projection.model._meta.concrete_fields
    return projection.model(*(field.to_python(row[field.column]) for field in fields))
