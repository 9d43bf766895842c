"""Fold a batch of events into the rows of a read model.

One query loads the rows. One statement each inserts, updates and deletes, where there is something
to write.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from django.db.models import DateTimeField, FloatField

from eventstore import results
from eventstore.codec import decode_json, encode_json
from eventstore.messages import Message
from eventstore.postgres import execute, quoted, rows
from eventstore.subscriptions import Projection, Row

# LATERAL with LIMIT 1 looks up row by row through the key's index, whatever the table's statistics
# say (see outbox/cursors.py).
LOAD = """
    SELECT row_to_json(stored)::text
    FROM unnest(%s::text[]) AS requested(key)
    CROSS JOIN LATERAL (
        SELECT * FROM {table} AS row WHERE row.{key} = requested.key LIMIT 1
    ) AS stored
"""
INSERT = "INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
# The condition "= ANY" repeats the keys because the planner cannot know how many rows the JSON
# holds: it would read a table of some hundred pages instead of looking up each row.
UPDATE = """
    WITH changed AS MATERIALIZED (
        SELECT * FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
    )
    UPDATE {table} AS stored
    SET ({columns}) = ROW({changed})
    FROM changed
    WHERE stored.{key} = ANY(ARRAY(SELECT {key} FROM changed)) AND stored.{key} = changed.{key}
"""
DELETE = "DELETE FROM {table} WHERE {key} = ANY(%s)"

# The column of a model, if it has one, for the time at which its first event was recorded.
CREATED = "created_at"


def project(projection: Projection, messages: Sequence[Message]) -> None:
    """Fold the messages, in order, into the rows of the read model."""
    table, key = quoted(projection.model._meta.db_table), str(projection.model._meta.pk.column)
    before = load(table, key, {projection.key(message.body) for message in messages})
    after: dict[str, Row | None] = dict(before)
    for message in messages:
        identity = projection.key(message.body)
        after[identity] = fold_row(projection, identity, after.get(identity), [message])
    new = [row for identity, row in after.items() if row is not None and identity not in before]
    changed = [row for identity, row in after.items() if row is not None and identity in before]
    gone = [identity for identity, row in after.items() if row is None and identity in before]
    require_storable(projection.model, [*new, *changed])
    if new:
        execute(INSERT.format(table=table), [encode_json(new).decode()]).close()
    if changed:
        # Only columns that changed in some row: large unchanged ones are not rewritten.
        columns = sorted(
            {name for row in changed for name in row if row[name] != before[row[key]].get(name)}
        )
        statement = UPDATE.format(
            table=table,
            key=quoted(key),
            columns=", ".join(map(quoted, columns)),
            changed=", ".join(f"changed.{quoted(name)}" for name in columns),
        )
        values = [{name: row[name] for name in (key, *columns)} for row in changed]
        execute(statement, [encode_json(values).decode()]).close()
    if gone:
        execute(DELETE.format(table=table, key=quoted(key)), [gone]).close()


def require_storable(model: Any, changed: Iterable[Row]) -> None:
    """Raises InvalidResult for a time without a zone, which PostgreSQL would take for one of the
    session's zone, and for a number that JSON would store as null."""
    columns = _times_and_floats(model)
    if not columns:
        return
    for row in changed:
        for column in columns:
            match row[column]:
                case datetime(tzinfo=None) as moment:
                    raise results.InvalidResult(
                        f"The column {column!r} of {model.__name__} got {moment.isoformat()}, a"
                        " time without a time zone. Fold the event's own times."
                    )
                case float() as number if not math.isfinite(number):
                    raise results.InvalidResult(
                        f"The column {column!r} of {model.__name__} got {number}, which JSON"
                        " cannot represent."
                    )


@cache
def _times_and_floats(model: Any) -> Sequence[str]:
    fields: Iterable[Any] = model._meta.concrete_fields
    return [str(each.column) for each in fields if isinstance(each, DateTimeField | FloatField)]


def fold_row(
    projection: Projection, key: str, row: Row | None, messages: Iterable[Message]
) -> Row | None:
    """One row after these messages, which must all concern it. Returns None when the row ends.

    The values are those that the projection's functions return; they are not converted to JSON.
    """
    for message in messages:
        version = message.version if message.category == projection.category else None
        row = fold_event(
            projection, key, row, message.body, message.position, version, message.recorded_at
        )
    return row


def fold_event(
    projection: Projection,
    key: str,
    row: Row | None,
    event: Any,
    position: int,
    version: int | None,
    at: datetime,
) -> Row | None:
    """The row after one more event. version: in the row's own stream; None for an event of another
    stream."""
    function = projection.evolve[type(event)]
    before = new_row(projection.model, key, at) if row is None else row
    # Read-only: a row that was changed in place would look unchanged and would not be written.
    changed = results.row(function, function(MappingProxyType(before), event), before)
    if changed is None:
        return None
    if version is None:
        return {**changed, "position": position, "updated_at": at}
    return {**changed, "position": position, "updated_at": at, "version": version}


def load(table: str, key: str, keys: Iterable[str]) -> dict[str, Row]:
    """The stored rows by their key. table: as it stands in SQL."""
    statement = LOAD.format(table=table, key=quoted(key))
    found = (decode_json(row) for (row,) in rows(statement, [list(keys)]))
    return {row[key]: row for row in found}


def new_row(model: Any, key: str, at: datetime) -> Row:
    """The model's defaults under this key. at: the time of the first event, for a model with the
    column created_at."""
    shared, factories = _defaults(model)
    created = {column: factory() for column, factory in factories}
    row = {**shared, **created, model._meta.pk.column: key}
    return row | {CREATED: at} if CREATED in row else row


@cache
def _defaults(model: Any) -> tuple[Row, Sequence[tuple[str, Callable[[], Any]]]]:
    """Default values that rows may share, and factories for those that each row needs its own of,
    such as lists."""
    fields: Iterable[Any] = model._meta.concrete_fields
    factories = [
        (field.column, field.default)
        for field in fields
        if callable(field.default) and not field.null
    ]
    shared = {field.column: None if field.null else field.get_default() for field in fields}
    return shared, factories
