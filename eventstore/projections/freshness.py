"""How far a read model has come, and a row that includes events it has not folded yet.

`look` reads a row and the progress of the read model with one query. `recorded` folds the events
that the row lacks in memory, with the projection's own functions; it stores nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from eventstore import codec, log, registry, settings
from eventstore.aggregate import stream_name
from eventstore.messages import Message
from eventstore.outbox import cursors
from eventstore.postgres import quoted, rows
from eventstore.subscriptions import Projection, Row

from .fold import fold_row, load

# The number of index lookups is the same however far the subscription is behind. CASE hides the
# selectivity of the types from the planner: otherwise it collects and sorts all waiting rows where
# only the first is needed. If the outbox was cleared beyond the cursor, the log is searched
# instead, one type at a time; the comparison of pairs makes the planner use the index on
# (type, position).
# On the primary every acknowledged write is visible. A replica may have the higher of two positions
# before the lower one, which committed later. There, only positions that some subscription has
# passed count as visible: a subscription passes a position when all earlier ones are committed.
PROGRESS = """
    SELECT subscription.position, least(ahead.position, held.position) AS waiting,
           greatest(0, coalesce(extract(epoch
               FROM clock_timestamp() - least(ahead.at, held.at)), 0))::float8 AS lag,
           CASE WHEN parameters.on_replica
               THEN (SELECT max(position) FROM eventstore_subscription)
               ELSE greatest(subscription.position, (SELECT max(position) FROM eventstore_event))
           END AS seen
    FROM (
        SELECT %s::text AS name, %s::text[] AS event_types, %s::boolean AS on_replica
    ) AS parameters
    LEFT JOIN eventstore_subscription AS subscription USING (name)
    LEFT JOIN eventstore_subscription AS cleared ON cleared.name = 'eventstore.outbox'
    LEFT JOIN LATERAL (
        (
            SELECT position, created_at AS at
            FROM eventstore_outbox
            WHERE position > subscription.position AND CASE WHEN topic = 'event'
                THEN type = ANY(event_types) END
              AND (cleared.position IS NULL OR subscription.position >= cleared.position)
            ORDER BY position
            LIMIT 1
        )
        UNION ALL
        (
            SELECT position, at
            FROM unnest(event_types) AS each(type)
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
        FROM eventstore_parked_first(parameters.name)) AS held ON true
"""
LOOK = f"""
    SELECT (SELECT row_to_json(stored)::text FROM {{table}} AS stored WHERE {{key}} = %s),
        progress.*
    FROM ({PROGRESS}) AS progress
"""
LAST_GIVEN = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM eventstore_position"

PRIMARY = "default"


class Progress(NamedTuple):
    """How far a read model has come, in the database that was queried.

    position: of its cursor; None before it has one. waiting: position of the first event that it
    has to fold; None when it is up to date. lag: age of that event in seconds. seen: the position
    up to which this database is complete.
    """

    position: int | None
    waiting: int | None
    lag: float
    seen: int

    def holds(self, position: int) -> bool:
        """Whether the read model includes every event of its own up to this position."""
        if self.position is None:
            return False
        return position <= self.seen and (self.waiting is None or position < self.waiting)


class ReadModelSource(NamedTuple):
    """event_types: the stored names that the projection folds, as a PostgreSQL array literal.
    look: the statement that reads one row with the progress."""

    subscription: str
    projection: Projection
    event_types: str
    look: str


class RowAndProgress(NamedTuple):
    """row: an instance of the model, or None."""

    row: Any
    standing: Progress


def look(model: type[Any], key: str) -> RowAndProgress:
    """The row and the progress of its read model, from the query database; one statement."""
    source, using = _sources()[model], settings.query_database()
    ((row, *progress),) = rows(
        source.look, [key, source.subscription, source.event_types, using != PRIMARY], using=using
    )
    instance = _instance(source.projection, codec.decode_json(row)) if row else None
    return RowAndProgress(instance, Progress(*progress))


def standing(model: type[Any], *, using: str) -> Progress:
    source = _sources()[model]
    params = [source.subscription, source.event_types, using != PRIMARY]
    (progress,) = rows(PROGRESS, params, using=using)
    return Progress(*progress)


def recorded(model: type[Any], key: str) -> Any:
    """The row with all recorded events folded in; None when there is no row."""
    projection = _sources()[model].projection
    row = load(quoted(model._meta.db_table), model._meta.pk.column, [key]).get(key)
    return _fold(projection, key, row, events(projection, key, row))


def as_of(
    model: type[Any], key: str, *, version: int | None = None, at: datetime | None = None
) -> Any:
    """The row as it was at a version of its stream, or at a time; None when there was no row."""
    projection = _sources()[model].projection
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
    return _fold(projection, key, None, until) if until else None


def events(projection: Projection, key: str, row: Row | None) -> list[Message]:
    """The recorded events that the row does not include, in global order."""
    version, position = (row["version"], row["position"]) if row else (0, 0)
    key_column, folded = str(projection.model._meta.pk.column), set(projection.evolve)
    # The streams that are named after the key, and the events that come from other streams.
    own: dict[str, int] = {}
    foreign = set(folded)
    for aggregate in registry.aggregates().values():
        if aggregate.identity == key_column and not folded.isdisjoint(aggregate.evolve):
            is_its_own = aggregate.category == projection.category
            own[stream_name(aggregate.category, key)] = version if is_its_own else 0
            foreign -= set(aggregate.evolve)
    foreign_types = [registry.name_of_class(each) for each in foreign]
    found = log.read_about(own, foreign_types=foreign_types, naming=key, after=position)
    ours = [each for each in found if type(each.body) in folded]
    return [each for each in ours if projection.key(each.body) == key]


def last_given() -> int:
    """The highest position that was ever assigned. No client can have seen a higher one."""
    return int(rows(LAST_GIVEN)[0][0])


@cache
def _sources() -> Mapping[type[Any], ReadModelSource]:
    """By model."""
    return {
        each.model: ReadModelSource(
            subscription=name,
            projection=each,
            event_types="{" + ",".join(cursors.event_types_of(name)) + "}",
            look=LOOK.format(
                table=quoted(each.model._meta.db_table), key=quoted(each.model._meta.pk.column)
            ),
        )
        for name, each in registry.of_kind(Projection).items()
    }


def _fold(projection: Projection, key: str, row: Row | None, events: Sequence[Message]) -> Any:
    folded = fold_row(projection, key, row, events)
    if folded is None:
        return None
    # A folded row may hold messages where the table holds JSON.
    return _instance(projection, _as_jsonb(codec.decode_json(codec.encode_json(folded))))


def _as_jsonb(value: Any) -> Any:
    """The value with the members of each object in the order that PostgreSQL gives them in jsonb:
    by length, then by bytes. A strong entity tag promises the same bytes (RFC 9110, 8.8.1)."""
    match value:
        case dict():
            names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
            return {name: _as_jsonb(value[name]) for name in names}
        case list():
            return [_as_jsonb(each) for each in value]
    return value


def _instance(projection: Projection, row: Row) -> Any:
    fields = projection.model._meta.concrete_fields
    return projection.model(*(field.to_python(row[field.column]) for field in fields))
