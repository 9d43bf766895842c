"""Do to the test's log what a restore or a failover does: delete its tail."""

import os
import subprocess
import sys

from django.db import connection

from eventstore.log import epochs
from eventstore.postgres import execute, rows
from eventstore.testing import unguarded
from tests.eventstore.concurrently import url_of_the_test

LAST = "SELECT coalesce(max(position), 0) FROM eventstore_event"
TABLES = ("eventstore_event", "eventstore_outbox", "eventstore_parked", "eventstore_saga")
# A shop that has never had a failover; positions begin at the first one.
FIRST_EPOCH = """
    DELETE FROM eventstore_epoch WHERE number > 1;
    DELETE FROM eventstore_epoch_mark;
    INSERT INTO eventstore_epoch_mark (mark) SELECT mark FROM eventstore_epoch;
    ALTER SEQUENCE eventstore_position RESTART;
"""


def last() -> int:
    return int(rows(LAST)[0][0])


def lose_behind(position: int, *, answers: bool = True) -> None:
    """Delete everything after the position, and reset the sequence, as on a standby that had not
    received it."""
    with unguarded():
        for table in TABLES:
            execute(f"DELETE FROM {table} WHERE position > %s", [position]).close()
        execute(
            "UPDATE eventstore_subscription SET position = least(position, %s)", [position]
        ).close()
        if answers:
            execute(
                "DELETE FROM eventstore_stored_response WHERE body::json->>'position' > %s::text",
                [position],
            ).close()
        execute("SELECT setval('eventstore_position', %s)", [max(position, 1)]).close()


def forget_the_mark() -> None:
    """Empty the unlogged table, as PostgreSQL does after a crash and at the promotion of a
    standby."""
    execute("DELETE FROM eventstore_epoch_mark").close()


def first_epoch() -> None:
    with connection.cursor() as cursor:
        cursor.execute(FIRST_EPOCH)
    epochs.forget()
    epochs.mark()


def another_process(command: str) -> None:
    """Dispatch a command like a process with empty caches."""
    script = (
        "import django; django.setup()\nfrom eventstore.commands import bus\nfrom eventstore.money"
        f" import Money\nfrom orders.commands import *\nbus.dispatch({command})"
    )
    environment = os.environ | {
        "DATABASE_URL": url_of_the_test(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env=environment, check=True, timeout=60
    )
