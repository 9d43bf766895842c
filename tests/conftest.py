"""What every test stands on."""

from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.db.backends.postgresql.operations import DatabaseOperations
from psycopg.errors import DeadlockDetected

from eventstore.log import epochs
from eventstore.postgres import execute
from eventstore.testing import GUARD, NEVER_TRUNCATED, UNGUARD, forget_everything

TESTS = Path(__file__).parent
# Tests of browsers, servers and processes wait for what the machine does beside them. One that
# fails runs once more, and the summary names it (RERUN). The promises (chaos, drills, faults,
# journeys, matrix, restore, simulation, and those of the event store) get no second run.
RUN_ONCE_MORE = (
    "bench",
    "clients",
    "console",
    "doctor",
    "examples",
    "greedy",
    "guide",
    "live",
    "local",
    "messaging",
    "plans",
    "pooler",
    "registry",
    "replay",
    "security",
    "tools",
    "tutorial",
    "webhooks",
    "workers",
)

# What a test is skipped with that needs a broker which cannot be started here.
NO_BROKER = "no broker: "


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in RUN_ONCE_MORE:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter):
    """Name the tests that did not run for want of a broker."""
    wanting = {}
    for report in terminalreporter.stats.get("skipped", ()):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason.startswith(NO_BROKER):
            wanting.setdefault(reason, []).append(report.nodeid)
    if wanting:
        terminalreporter.section("not run for want of a broker")
    for reason, names in wanting.items():
        terminalreporter.write_line(f"{len(names)} not run: {reason.removeprefix(NO_BROKER)}.")
        for name in names:
            terminalreporter.write_line(f"    {name}")


@pytest.fixture(autouse=True, scope="session")
def _guarded_but_for_a_flush():
    """Between tests Django truncates every table; the log's guard is off for that moment only, as
    processes that find it off do not start."""
    flush = DatabaseOperations.execute_sql_flush

    def flush_unguarded(self, statements, tries=5):
        guard = {"guard": NEVER_TRUNCATED}
        try:
            return flush(self, [UNGUARD.format(**guard), *statements, GUARD.format(**guard)])
        except OperationalError as error:
            # A server of the test's own reads on meanwhile, and each may wait for the other.
            if tries == 1 or not isinstance(error.__cause__, DeadlockDetected):
                raise
        return flush_unguarded(self, statements, tries - 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", flush_unguarded)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        epochs.mark()  # so that no test pays for it that counts statements
    yield
    # The sandboxes' clerks keep their connections as long as the process lives, and the database is
    # to be dropped.
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def no_tables_left(transactional_db):
    """Of rebuilds: what they fold into, and what they keep to go back to."""
    yield
    for schema in ("rebuild", "rebuild_kept"):
        execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE").close()


@pytest.fixture(autouse=True)
def _nothing_remembered():
    forget_everything()


@pytest.fixture(autouse=True)
def _no_broker(request, settings):
    """Only a test with a worker has somebody to nudge; in all others drain() is the worker."""
    settings.EVENTSTORE_WAKE_WORKERS = "worker" in request.keywords
