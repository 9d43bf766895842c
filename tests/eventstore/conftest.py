"""The toy world instead of the shop's, and hands to stop and to kill other connections with."""

import sys
from types import ModuleType

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

from eventstore.commands import repository
from eventstore.effects import calls
from eventstore.log import epochs
from eventstore.messaging import relay
from eventstore.outbox import cursors
from eventstore.testing import unguarded
from tests.restore.losing import first_epoch

from . import toy
from .concurrently import parameters

PARTS = ("EVENTS", "COMMANDS", "AGGREGATES", "DECISIONS", "UPCASTERS", "RENAMED", "SUBSCRIPTIONS")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS toy_tally")
        with connection.schema_editor() as editor:
            editor.create_model(toy.Tally)


@pytest.fixture(autouse=True, scope="package")
def emptied_quickly(django_db_blocker):
    """Django truncates every table after each test, which takes longer than the test; here their
    rows are deleted."""
    emptied = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            TransactionTestCase, "_fixture_teardown", lambda self: emptied.append(empty())
        )
        yield
    if emptied:
        with django_db_blocker.unblock():
            call_command("flush", interactive=False, verbosity=0)


def empty():
    kept = {"django_migrations", "django_content_type", "auth_permission"}
    tables = {*connection.introspection.django_table_names(only_existing=True), "toy_tally"} - kept
    with unguarded(), connection.cursor() as cursor:
        # As a replica would: foreign keys are not asked.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(";".join(f'DELETE FROM "{table}"' for table in tables))
        # A subscription that begins at zero far behind the fence would need several steps to reach
        # it.
        cursor.execute("ALTER SEQUENCE eventstore_position RESTART")
    # Nobody has lost this log: it is another one.
    repository.forget()
    if len(epochs.history()) > 1:
        first_epoch()


@pytest.fixture
def wire(settings, monkeypatch):
    """wire(SUBSCRIPTIONS=...) puts another wiring in place; what is not named is the toy's."""

    def wire(**parts):
        module = ModuleType("tests.eventstore.wired")
        vars(module).update({part: getattr(toy, part) for part in PARTS} | parts)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        settings.EVENTSTORE_WIRING = module.__name__
        forget_wiring()

    yield wire
    forget_wiring()


@pytest.fixture
def toys(wire, transactional_db):
    """The toy wiring over an empty log. toys(subscription=...) adds subscriptions, or takes others
    instead."""

    def subscribe(subscriptions=None, **parts):
        wire(**parts | ({} if subscriptions is None else {"SUBSCRIPTIONS": subscriptions}))
        cursors.ensure_cursors()

    subscribe()
    return subscribe


def forget_wiring():
    # Their threads would look up the old wiring once more.
    relay.this_process.stop()
    for module in [each for name, each in sys.modules.items() if name.startswith("eventstore.")]:
        for each in list(vars(module).values()):
            if hasattr(each, "cache_clear"):
                each.cache_clear()
    calls.this_process.forget()
    repository.forget()


@pytest.fixture
def another():
    """another() is one more connection of its own, in autocommit, closed afterwards."""
    opened = []

    def connect():
        opened.append(psycopg.connect(**parameters(), autocommit=True))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()
