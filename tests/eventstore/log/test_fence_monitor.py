"""Who appends and does not commit holds everybody's view back: named, and cut off."""

import logging
import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from eventstore import log
from eventstore.log import ANY, append, fence_monitor
from eventstore.operations import doctor
from tests.eventstore.toy import Counted

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
    (found,) = fence_monitor.fence_holders(longer_than=timedelta(0))
    assert found.state == "idle in transaction"
    assert "eventstore_append" in found.query
    time.sleep(0.05)
    with caplog.at_level(logging.WARNING), pytest.MonkeyPatch.context() as patch:
        patch.setattr(fence_monitor, "PATIENCE", timedelta(0))
        fence_monitor.warn_about_blockers()
    assert f"backend {found.pid}" in caplog.text


def test_who_commits_at_once_is_not_named():
    append("counter-quick", [Counted("quick")], expected=ANY)
    assert fence_monitor.fence_holders(longer_than=timedelta(0)) == []


def test_the_fence_stays_below_it_and_goes_on_when_it_is_cut_off(holder, another):
    append("counter-b", [Counted("b")], expected=ANY)
    behind = log.fence()
    (found,) = fence_monitor.fence_holders(longer_than=timedelta(0))
    another().execute("SELECT pg_terminate_backend(%s, 5000)", [found.pid])
    assert log.fence() > behind


@pytest.fixture
def prepared(another):
    """prepared(gid, statement): a transaction that was prepared for a commit in two phases, and
    forgotten."""

    def prepare(gid, statement):
        other = another()
        if other.execute("SHOW max_prepared_transactions").fetchone() == ("0",):
            pytest.skip("this server prepares no transactions (max_prepared_transactions = 0)")
        other.execute("BEGIN")
        other.execute(statement)
        other.execute(f"PREPARE TRANSACTION '{gid.replace(chr(39), 2 * chr(39))}'")
        other.close()

    yield prepare
    left = another()
    for (gid,) in left.execute(
        "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
    ).fetchall():
        left.execute(fence_monitor.rollback(gid))


APPEND = f"""
    SELECT eventstore_append('[{{"stream": "counter-held", "version": 1, "expected": 0,
        "id": "{uuid4()}",
        "type": "toy.counted", "schema_version": 1, "data": {{}},
        "correlation_id": "{uuid4()}", "metadata": {{}}}}]', NULL)
"""


def test_a_prepared_transaction_that_holds_it_has_no_backend_and_is_named_by_its_gid(
    prepared, another, caplog
):
    append("counter-b", [Counted("b")], expected=ANY)
    prepared("it's forgotten", APPEND)
    append("counter-c", [Counted("c")], expected=ANY)

    (found,) = fence_monitor.fence_holders(longer_than=timedelta(0))
    assert (found.pid, found.state, found.gid) == (None, "prepared", "it's forgotten")
    with caplog.at_level(logging.WARNING), pytest.MonkeyPatch.context() as patch:
        patch.setattr(fence_monitor, "PATIENCE", timedelta(0))
        fence_monitor.warn_about_blockers()
    assert """ROLLBACK PREPARED 'it''s forgotten';""" in caplog.text

    behind = log.fence()
    ended = another()
    ended.execute(found.end)
    assert log.fence() > behind
    assert fence_monitor.fence_holders(longer_than=timedelta(0)) == []


class TestTheDoctor:
    SOON = doctor.Limits(fence=timedelta(0), held=timedelta(0), transaction=timedelta(0))

    def findings(self, check):
        return [each for each in doctor.examine(self.SOON) if each.check == check]

    def test_names_one_that_holds_the_fence(self, prepared):
        prepared("forgotten", APPEND)
        (fence,) = self.findings("fence")
        assert (fence.severity, "'forgotten'" in fence.culprit) == ("critical", True)
        assert fence.mend == "ROLLBACK PREPARED 'forgotten';"

    def test_names_one_that_holds_a_subscription(self, prepared):
        prepared(
            "forgotten", "SELECT FROM eventstore_subscription WHERE name = 'toy.tallies' FOR UPDATE"
        )
        (held,) = self.findings("held-subscription")
        assert "toy.tallies" in held.what
        assert held.mend == "ROLLBACK PREPARED 'forgotten';"

    def test_names_one_that_only_stands_about(self, prepared):
        prepared("forgotten", "UPDATE eventstore_heartbeat SET at = now()")
        (about,) = self.findings("prepared-transaction")
        assert about.severity == "warning"


def test_the_database_cuts_off_who_idles_in_a_transaction():
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("10s",)
