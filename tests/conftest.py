"""What every test stands on."""

import pytest
from django.db import connection

from eventstore.testing import forget_everything


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Between tests Django truncates every table; the log's guard against that is tested with it switched on."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 'eventstore_event'::regclass AND tgname LIKE '%truncated%'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE eventstore_event DISABLE TRIGGER {name}")


@pytest.fixture(autouse=True)
def _nothing_remembered():
    forget_everything()


@pytest.fixture(autouse=True)
def _no_broker(request, settings):
    """Only a test with a worker has somebody to nudge; in all others drain() is the worker."""
    settings.EVENTSTORE_NUDGE = "worker" in request.keywords
