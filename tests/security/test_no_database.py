"""Without a database, a command ends with an error message; a bug in the program keeps its
traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(__file__).parents[2]
NOWHERE = "postgresql://x@127.0.0.1:1/x"

COMMANDS = [
    "check --database default",
    "migrate",
    "after_restore --reason tried",
    "restart_sequence",
    "overview",
    "subscriptions list",
    "sagas list",
    "dead_letters list",
    "reconcile_payments",
    "app_role foo",
    "work --once",
    "dossier nobody",
    "export events",
    "cancel_order nobody --reason tried",
    "demo",
    "rebuild_projection orders.details",
    "createsuperuser --noinput --username eve --email eve@shop.example",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_database_a_command_ends_by_a_sentence(command):
    ended = manage(*command.split(), DATABASE_URL=NOWHERE)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "Connection refused" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 3  # libpq's own words have two
    assert ended.stdout == ""


def test_whoever_wants_the_traceback_gets_it():
    assert "Traceback" in manage("overview", "--traceback", DATABASE_URL=NOWHERE).stderr


@pytest.mark.django_db
def test_what_is_no_fault_of_the_database_keeps_its_traceback():
    """In a database without our tables, a command fails at the first query."""
    found = settings.DATABASES["default"]
    ended = manage(
        "overview",
        DATABASE_URL=os.environ["DATABASE_URL"].replace(f"/{found['NAME']}", "/template1"),
    )
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "UndefinedTable" in ended.stderr


def manage(*arguments, **variables):
    environment = {**os.environ, "ALLOW_DEMO": "1", **variables}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
