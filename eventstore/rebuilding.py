"""Rebuild a read model beside the live one: fold the log into a table of its own, then swap the two at once.

Readers and the lane go on with the live table until the swap, which is one short transaction. Nothing but rows of the
new table is written meanwhile: a projection has no other effect. An event that cannot be folded stops the rebuild, and
the live table stays as it is.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from django.db import connections, transaction

from . import outbox, projections, registry, store
from .messages import Message
from .postgres import execute, rows
from .subscriptions import Projection

BATCH = 5000

CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS rebuild"
DROP_SHADOW = "DROP TABLE IF EXISTS rebuild.{table}"
BUILD_THERE = "SET LOCAL search_path = rebuild"
BUILD_HERE = "SET LOCAL search_path = DEFAULT"
HOLD_LANE = """
    SELECT position
    FROM eventstore_subscription
    WHERE name = %s
    FOR UPDATE
"""
DROP_LIVE = "DROP TABLE {table}"
MOVE_IN = "ALTER TABLE rebuild.{table} SET SCHEMA {schema}"
LIVE_SCHEMA = "SELECT current_schema()"
UNPARK = "DELETE FROM eventstore_parked WHERE subscription = %s"

Progress = Callable[[int, int], None]


class NotAProjection(LookupError):
    """Only projections have a table that can be rebuilt."""


class RebuildFailed(Exception):
    """An event could not be folded; the live table is as it was."""


def projection(name: str) -> Projection:
    found = registry.subscriptions().get(name)
    if not isinstance(found, Projection):
        known = ", ".join(name for name, each in registry.subscriptions().items() if isinstance(each, Projection))
        raise NotAProjection(f"{name!r} is no projection. There are: {known}.")
    return found


def rebuild(name: str, progress: Progress = lambda position, head: None) -> int:
    """Fold the whole log anew; returns how many events went in. progress is told (position, head) after each batch.

    Raises NotAProjection, RebuildFailed.
    """
    subject, table = projection(name), str(projection(name).model._meta.db_table)
    _create_shadow(subject, table)
    head = store.fence()
    count, position = _fold(name, subject, table, after=0, until=head, progress=progress)
    with transaction.atomic():
        execute(HOLD_LANE, [name]).close()
        more, head = _fold(name, subject, table, after=position, until=store.fence(), progress=progress)
        _swap(name, table, head)
    return count + more


def _create_shadow(subject: Projection, table: str) -> None:
    """The schema editor makes the table as migrations would, so that later ones find their index names."""
    with transaction.atomic():
        execute(CREATE_SCHEMA).close()
        execute(DROP_SHADOW.format(table=table)).close()
        execute(BUILD_THERE).close()
        with connections["default"].schema_editor(atomic=False) as editor:
            editor.create_model(subject.model)
            for statement in editor.deferred_sql:
                editor.execute(statement)
            editor.deferred_sql.clear()
        execute(BUILD_HERE).close()


def _fold(name: str, subject: Projection, table: str, *, after: int, until: int, progress: Progress) -> tuple[int, int]:
    count = 0
    log = store.read_log(after=after, until=until, types=outbox.hears(name))
    for batch in _batches(log):
        _project(subject, f"rebuild.{table}", batch)
        count += len(batch)
        progress(batch[-1].position, until)
    progress(until, until)
    return count, max(after, until)


def _project(subject: Projection, table: str, batch: list[Message]) -> None:
    try:
        with transaction.atomic():
            projections.project(subject, batch, table=table)
    except Exception as error:
        if len(batch) == 1:
            raise RebuildFailed(f"{batch[0].type} at position {batch[0].position}: {error!r}") from error
        for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
            _project(subject, table, half)


def _swap(name: str, table: str, head: int) -> None:
    schema: Any = rows(LIVE_SCHEMA)[0][0]
    execute(DROP_LIVE.format(table=table)).close()
    execute(MOVE_IN.format(table=table, schema=schema)).close()
    execute(UNPARK, [name]).close()
    outbox.move(name, head)


def _batches(messages: Iterator[Message]) -> Iterator[list[Message]]:
    while batch := list(islice(messages, BATCH)):
        yield batch
