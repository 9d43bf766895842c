"""Who appends and does not commit holds everybody's view back: named, and cut off."""

import logging
import threading
import time
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from eventstore import store, watching
from eventstore.store import ANY, append

from .toy import Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture
def holder():
    """An appender that stops before its commit, until the test lets it go."""
    appended, go = threading.Event(), threading.Event()
    ended = []

    def hold():
        try:
            with transaction.atomic():
                append("counter-held", [Counted("held")], expected=ANY)
                appended.set()
                go.wait(20)
        except DatabaseError as error:
            ended.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    appended.wait(10)
    yield ended
    go.set()
    thread.join()


def test_it_is_named_with_its_backend_and_query(holder, caplog):
    (found,) = watching.fence_holders(longer_than=timedelta(0))
    assert found.state == "idle in transaction"
    assert "eventstore_append" in found.query
    time.sleep(0.05)
    with caplog.at_level(logging.WARNING), pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "PATIENCE", timedelta(0))
        watching.warn()
    assert f"backend {found.pid}" in caplog.text


def test_who_commits_at_once_is_not_named():
    append("counter-quick", [Counted("quick")], expected=ANY)
    assert watching.fence_holders(longer_than=timedelta(0)) == []


def test_the_fence_stays_below_it_and_goes_on_when_it_is_cut_off(holder, another):
    append("counter-b", [Counted("b")], expected=ANY)
    behind = store.fence()
    (found,) = watching.fence_holders(longer_than=timedelta(0))
    another().execute("SELECT pg_terminate_backend(%s, 5000)", [found.pid])
    assert store.fence() > behind


def test_the_database_cuts_off_who_idles_in_a_transaction():
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("10s",)
