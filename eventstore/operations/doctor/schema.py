"""The tables: migrations that were not run, indexes that are gone, events that no code reads."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.migrations.executor import MigrationExecutor

from eventstore import registry, settings
from eventstore.postgres import rows
from eventstore.subscriptions import Projection

from .findings import CRITICAL, WARNING, Finding, Limits

INDEXES = """
    SELECT pg_class.relname, indisvalid
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = to_regclass(%s)
    UNION ALL
    SELECT conname, true FROM pg_constraint WHERE conrelid = to_regclass(%s)
"""
# From type to type along the index, however many events there are; of each the newest, as new code
# would write it. Asked by "=", PostgreSQL may look for it from the end of the log backwards: for an
# old type, through all of it.
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
            ORDER BY eventstore_event.type DESC, position DESC LIMIT 1
    ) AS newest
"""


def migrations(limits: Limits) -> Iterator[Finding]:
    executor = MigrationExecutor(transaction.get_connection())
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        yield Finding(
            "migrations",
            CRITICAL,
            f"{len(plan)} migrations were not run.",
            ", ".join(str(migration) for migration, _ in plan[:5]),
            "The code expects tables and columns that are not there.",
            "manage.py migrate",
        )


def indexes(limits: Limits) -> Iterator[Finding]:
    for model in _models():
        table = model._meta.db_table
        there = dict(rows(INDEXES, [table, table]))
        for each in (*model._meta.indexes, *model._meta.constraints):
            if not there.get(each.name):
                yield Finding(
                    "indexes",
                    WARNING,
                    f"{table} has no valid {each.name}.",
                    each.name,
                    "Queries become slower with every event, or a rule of the table is not kept.",
                    f"REINDEX INDEX {each.name}; or, where it is gone, make it as the model's"
                    " migration did.",
                )


def unreadable_events(limits: Limits) -> Iterator[Finding]:
    for stored, version, position in rows(TYPES):
        name = registry.renamed().get(stored, stored)
        if name not in registry.types():
            trouble = f"{stored!r} is no name in the wiring."
        elif version > registry.schema_version_of(name):
            trouble = f"{stored!r} is stored under schema version {version}, newer than this code."
        else:
            continue
        yield Finding(
            "unreadable-events",
            CRITICAL,
            trouble,
            f"the event at position {position}",
            "It is parked in every subscription that might hear it, and a rebuild stops at it.",
            "Deploy the code that knows it, or give it a name in EVENTS or RENAMED of the wiring.",
        )


def schema_drift(limits: Limits) -> Iterator[Finding]:
    try:
        settings.schemas()
    except ImproperlyConfigured:
        return  # this project publishes none, and need not have avro
    from eventstore.schemas import files

    for problem in files.problems():
        yield Finding(
            "schema-drift",
            WARNING,
            problem,
            "an event class",
            "Who reads our events by their published schemas cannot.",
            "manage.py schemas --check, then --write for a new version",
        )


def _models() -> Iterator[Any]:
    for model in apps.get_app_config("eventstore").get_models():
        if not model._meta.proxy and model._meta.managed:
            yield model
    yield from (
        each.model for each in registry.subscriptions().values() if isinstance(each, Projection)
    )


CHECKS = (indexes, unreadable_events, schema_drift)
