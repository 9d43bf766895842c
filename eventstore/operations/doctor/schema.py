"""Tables and events: missing migrations and indexes, events that no code can read, schema drift."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.migrations.executor import MigrationExecutor

from eventstore import registry, settings
from eventstore.postgres import rows
from eventstore.subscriptions import Projection

from .findings import CRITICAL, WARNING, Finding, Limits

# Of all tables by one statement.
INDEXES = """
    WITH tables(name, oid) AS MATERIALIZED (
        SELECT name, to_regclass(name) FROM unnest(%s::text[]) AS name
    )
    SELECT name, ARRAY(
        SELECT pg_class.relname::text
        FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = tables.oid AND indisvalid
        UNION ALL
        SELECT conname::text FROM pg_constraint WHERE conrelid = tables.oid
    )
    FROM tables
"""
# A loose index scan over the types, however many events there are; of each type the newest event,
# which is the one that the newest code has written. The condition is "<=" with a descending order,
# because for "=" PostgreSQL may scan the log backwards, for an old type all of it.
TYPES = """
    WITH RECURSIVE found(type) AS (
        SELECT min(type) FROM eventstore_event
        UNION ALL
        SELECT (SELECT min(type) FROM eventstore_event WHERE eventstore_event.type > found.type)
        FROM found
        WHERE found.type IS NOT NULL
    )
    SELECT found.type, newest.schema_version, newest.position
    FROM found
    CROSS JOIN LATERAL (
        SELECT schema_version, position FROM eventstore_event
        WHERE eventstore_event.type <= found.type
        ORDER BY eventstore_event.type DESC, position DESC
        LIMIT 1
    ) AS newest
"""


class Newest(NamedTuple):
    """The newest event of a stored type."""

    type: str
    schema_version: int
    position: int


def migrations(limits: Limits) -> Iterator[Finding]:
    executor = MigrationExecutor(transaction.get_connection())
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        yield Finding(
            check="migrations",
            severity=CRITICAL,
            what=f"{len(plan)} migrations are not applied.",
            culprit=", ".join(str(migration) for migration, _ in plan[:5]),
            why="The code expects tables and columns that do not exist.",
            mend="manage.py migrate",
        )


def indexes(limits: Limits) -> Iterator[Finding]:
    ours = apps.get_app_config("eventstore").get_models()
    models: list[Any] = [each for each in ours if not each._meta.proxy and each._meta.managed]
    models += [projection.model for projection in registry.of_kind(Projection).values()]
    valid = dict(rows(INDEXES, [[model._meta.db_table for model in models]]))
    for model in models:
        table = model._meta.db_table
        for each in (*model._meta.indexes, *model._meta.constraints):
            if each.name not in valid[table]:
                yield Finding(
                    check="indexes",
                    severity=WARNING,
                    what=f"{table} has no valid {each.name}.",
                    culprit=each.name,
                    why="Queries get slower with every event, or a rule of the table is not"
                    " enforced.",
                    mend=f"REINDEX INDEX {each.name}; or, if it is missing, create it as the"
                    " migration of its model does.",
                )


def unreadable_events(limits: Limits) -> Iterator[Finding]:
    for row in rows(TYPES):
        newest = Newest(*row)
        name = registry.renamed().get(newest.type, newest.type)
        if name not in registry.types():
            what = f"The stored type {newest.type!r} is not in the wiring."
        elif newest.schema_version > registry.schema_version_of(name):
            what = (
                f"{newest.type!r} is stored with schema version {newest.schema_version}, newer than"
                " this code."
            )
        else:
            continue
        yield Finding(
            check="unreadable-events",
            severity=CRITICAL,
            what=what,
            culprit=f"the event at position {newest.position}",
            why="Subscriptions park it, and a rebuild stops at it.",
            mend="Deploy the code that knows the type, or list it in EVENTS or RENAMED of the"
            " wiring.",
        )


def schema_drift(limits: Limits) -> Iterator[Finding]:
    try:
        settings.schemas()
    except ImproperlyConfigured:
        return  # this project publishes no schemas, and need not have avro
    from eventstore.schemas import files

    for problem in files.problems():
        yield Finding(
            check="schema-drift",
            severity=WARNING,
            what=problem,
            culprit="an event class",
            why="Consumers that use the published schemas cannot read our events.",
            mend="manage.py schemas --check, then --write for a new version",
        )


CHECKS = (indexes, unreadable_events, schema_drift)
