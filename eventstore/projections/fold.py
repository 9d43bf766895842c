"""Fold a batch of events into the rows of a read model: one query to load them, one or two to write
them back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from eventstore.codec import decode_json, encode_json
from eventstore.messages import Message
from eventstore.postgres import execute, rows
from eventstore.subscriptions import Projection, Row

# Row by row through the key's index, whatever the planner believes of the table (see outbox.py).
LOAD = """
    SELECT row_to_json(kept)::text
    FROM unnest(%s::text[]) AS wanted(key)
    CROSS JOIN LATERAL (SELECT * FROM {table} AS row WHERE row.{key} = wanted.key LIMIT 1) AS kept
"""
INSERT = "INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
# The rows are named by their keys, too: how many the JSON holds is not known to the planner, which
# would rather read a table of some hundred pages than look for each of them.
UPDATE = """
    WITH changed AS MATERIALIZED (
        SELECT * FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
    )
    UPDATE {table} AS kept
    SET ({columns}) = ROW({changed})
    FROM changed
    WHERE kept.{key} = ANY(ARRAY(SELECT {key} FROM changed)) AND kept.{key} = changed.{key}
"""
DELETE = "DELETE FROM {table} WHERE {key} = ANY(%s)"


def project(projection: Projection, messages: Sequence[Message]) -> None:
    """Bring the read model up to the last of the messages."""
    table, key = str(projection.model._meta.db_table), str(projection.model._meta.pk.column)
    before = load(table, key, {projection.key(message.body) for message in messages})
    after: dict[str, Row | None] = dict(before)
    for message in messages:
        identity = projection.key(message.body)
        after[identity] = fold_one(projection, identity, after.get(identity), [message])
    _save(table, key, before, after)


def fold_one(
    projection: Projection, key: str, row: Row | None, messages: Iterable[Message]
) -> Row | None:
    """One row after these messages, which are all its own. Values are as the functions left
    them."""
    for message in messages:
        version = message.version if message.category == projection.category else None
        row = step(
            projection, key, row, message.body, message.position, version, message.recorded_at
        )
    return row


def step(
    projection: Projection,
    key: str,
    row: Row | None,
    event: Any,
    position: int,
    version: int | None,
    at: datetime,
) -> Row | None:
    """The row after one more event. version: of the row's own stream, None when the event is of
    another."""
    changed = projection.evolve[type(event)](
        blank(projection.model, key) if row is None else row, event
    )
    if changed is None:
        return None
    if version is None:
        return {**changed, "position": position, "updated_at": at}
    return {**changed, "position": position, "updated_at": at, "version": version}


def load(table: str, key: str, keys: Iterable[str]) -> dict[str, Row]:
    """The rows as they are in the table, by their key."""
    found = (decode_json(row) for (row,) in rows(LOAD.format(table=table, key=key), [list(keys)]))
    return {row[key]: row for row in found}


def _save(table: str, key: str, before: Mapping[str, Row], after: Mapping[str, Row | None]) -> None:
    new = [row for identity, row in after.items() if row is not None and identity not in before]
    changed = [row for identity, row in after.items() if row is not None and identity in before]
    gone = [identity for identity, row in after.items() if row is None and identity in before]
    if new:
        execute(INSERT.format(table=table), [encode_json(new).decode()]).close()
    if changed:
        _update(table, key, before, changed)
    if gone:
        execute(DELETE.format(table=table, key=key), [gone]).close()


def _update(table: str, key: str, before: Mapping[str, Row], changed: Sequence[Row]) -> None:
    """Write only the columns that some row changed, so that large ones that never do are not
    written again."""
    columns = sorted(
        {name for row in changed for name in row if row[name] != before[row[key]].get(name)}
    )
    statement = UPDATE.format(
        table=table,
        key=key,
        columns=", ".join(columns),
        changed=", ".join(f"changed.{name}" for name in columns),
    )
    slim = [{name: row[name] for name in (key, *columns)} for row in changed]
    execute(statement, [encode_json(slim).decode()]).close()


def blank(model: Any, key: str) -> Row:
    """A new row: the model's defaults under this key."""
    plain, made = _defaults(model)
    return {**plain, **{column: make() for column, make in made}, model._meta.pk.column: key}


@cache
def _defaults(model: Any) -> tuple[Row, Sequence[tuple[str, Callable[[], Any]]]]:
    """The values that are the same for each row, and what makes those that no two rows may
    share."""
    fields: Iterable[Any] = model._meta.concrete_fields
    made = [
        (field.column, field.default)
        for field in fields
        if callable(field.default) and not field.null
    ]
    return {field.column: None if field.null else field.get_default() for field in fields}, made
