"""What every test stands on."""

import pytest
from django.db import connection

from eventstore import epochs
from eventstore.postgres import execute
from eventstore.testing import forget_everything, let_django_truncate


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Between tests Django truncates every table; the log's guard against that is tested with it switched on."""
    with django_db_blocker.unblock():
        let_django_truncate()
        epochs.mark()  # so that no test pays for it that counts statements
    yield
    # The sandboxes' clerks keep their connections as long as the process lives, and the database is to be dropped.
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
    settings.EVENTSTORE_NUDGE = "worker" in request.keywords
