"""A server that may forget what it has acknowledged is refused, by one query in the life of a process."""

import os
import subprocess
import sys

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.db.backends.signals import connection_created
from django.test.utils import CaptureQueriesContext

from eventstore import durability

from .concurrently import url_of_the_test

pytestmark = [pytest.mark.django_db(transaction=True)]

WEB = "import config.wsgi"


@pytest.fixture
def unsafe(settings):
    """A connection under which a crash would lose what was acknowledged."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    yield
    connection.close()
    connection_created.disconnect(durability._ask)


def boot(*command, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def off(another):
    """The database itself says so, for whoever connects from now on."""
    name = connection.settings_dict["NAME"]
    other = another()
    other.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    yield
    other.execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')


def test_neither_web_nor_worker_boots_on_it(off):
    for command in (["-c", WEB], ["-m", "celery", "-A", "config", "worker", "-c", "1"], ["manage.py", "work"]):
        done = boot(*command, DATABASE_URL=url_of_the_test())
        assert done.returncode
        assert "PostgreSQL runs with synchronous_commit off: a crash would lose" in done.stderr


def test_unless_it_is_told_to(off):
    assert boot("-c", WEB, DATABASE_URL=url_of_the_test(), ALLOW_UNSAFE_DATABASE="1").returncode == 0


def test_on_a_safe_one_they_boot():
    assert boot("-c", WEB, DATABASE_URL=url_of_the_test()).returncode == 0


def test_while_the_database_is_away_a_process_boots_and_asks_when_it_is_back():
    script = f"""
import os
{WEB}
from django.db import connection
connection.settings_dict["PORT"] = {connection.settings_dict["PORT"]}
connection.ensure_connection()
"""
    away = url_of_the_test().replace(f":{connection.settings_dict['PORT']}/", ":1/")
    done = boot("-c", script, DATABASE_URL=away)
    assert done.returncode == 0, done.stderr
    assert "the database is away" in done.stderr


def test_the_check_of_the_database_finds_it(unsafe):
    assert [error.id for error in run_checks(databases=["default"]) if error.id == "eventstore.E017"]


def test_and_finds_nothing_on_a_safe_one():
    assert not [error for error in run_checks(databases=["default"]) if error.id == "eventstore.E017"]


def test_it_costs_one_query_in_the_life_of_a_process():
    with CaptureQueriesContext(connection) as queries:
        durability.demand()
        for _ in range(3):
            connection.close()
            connection.ensure_connection()
    assert len([query for query in queries if "synchronous_commit" in query["sql"]]) == 1
