"""A migrated database has the functions of eventstore/sql and the tables of the models, and nothing
else of ours."""

import re

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from eventstore import sql
from eventstore.apps import EARLIER
from eventstore.guarantees import functions
from eventstore.postgres import rows

pytestmark = pytest.mark.django_db(transaction=True)

DEFINITIONS = """
    SELECT proname, pg_get_functiondef(oid)
    FROM pg_proc
    WHERE proname LIKE 'eventstore%%' AND pronamespace = current_schema()::regnamespace
"""
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name,
        is_identity
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = ANY(%s)
"""
INDEXES = """
    SELECT tablename, regexp_replace(indexdef, ' ON \\w+\\.', ' ON '), indexname
    FROM pg_indexes
    WHERE schemaname = current_schema() AND tablename = ANY(%s)
"""
CONSTRAINTS = """
    SELECT relname, contype::text, pg_get_constraintdef(pg_constraint.oid)
    FROM pg_constraint
    JOIN pg_class ON pg_class.oid = conrelid
    WHERE connamespace = current_schema()::regnamespace AND relname = ANY(%s) AND contype <> 'n'
"""
OURS = ("eventstore", "orders", "payments", "inventory", "shipping", "access")


@pytest.fixture
def beside():
    """beside(): from here on, a schema of our own in the place of the migrated one. It is gone
    afterwards."""
    with transaction.atomic(), connection.cursor() as cursor:

        def go():
            cursor.execute("CREATE SCHEMA beside; SET LOCAL search_path = beside, public")

        yield go
        transaction.set_rollback(True)


def test_each_function_is_the_one_that_its_file_makes(beside):
    migrated = dict(rows(DEFINITIONS))
    beside()
    with connection.cursor() as cursor:
        cursor.execute(sql.replacing(*sql.names()))
    made = {name: re.sub(r"\bbeside\b", "public", text) for name, text in rows(DEFINITIONS)}
    assert made == migrated
    assert sorted(made) == sql.names()
    assert len(made) > 20
    assert list(functions.wrong()) == []


def test_each_table_is_the_one_that_its_model_makes(beside):
    models = [model for app in OURS for model in apps.get_app_config(app).get_models()]
    models = [model for model in models if model._meta.managed and not model._meta.proxy]
    names = [model._meta.db_table for model in models]
    migrated = _form(names)
    beside()
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    assert len(names) > 20
    assert _form(names) == migrated


def test_a_function_with_another_right_than_its_file_says_is_found(beside):
    with connection.cursor() as cursor:
        cursor.execute("ALTER FUNCTION eventstore_append(json, json) SECURITY INVOKER")
        cursor.execute("ALTER FUNCTION eventstore_mark() SECURITY DEFINER")
    assert sorted(functions.wrong()) == [
        ("eventstore_append(json, json)", "is no longer SECURITY DEFINER"),
        ("eventstore_mark()", "is now SECURITY DEFINER"),
    ]


def test_a_database_of_before_the_first_release_is_left_as_it_is():
    recorder = MigrationRecorder(connection)
    recorder.record_applied(*EARLIER)
    try:
        with pytest.raises(CommandError, match="created before release 0.1.0"):
            call_command("migrate", verbosity=0)
    finally:
        recorder.record_unapplied(*EARLIER)
    call_command("migrate", verbosity=0)


def _form(names):
    return {
        "columns": sorted(map(str, rows(COLUMNS, [names]))),
        "indexes": sorted(map(str, rows(INDEXES, [names]))),
        "constraints": sorted(map(str, rows(CONSTRAINTS, [names]))),
    }
