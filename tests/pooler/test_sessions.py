"""Behind a transaction pooler a session is everybody's: whatever we set, lock, prepare or open
there must not stay."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from datetime import timedelta
from decimal import DivisionByZero

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import transaction

from eventstore.delivery import heartbeats, poison
from eventstore.models import DeliveryMarker
from eventstore.operations import control
from eventstore.operations.doctor import Limits, workers
from eventstore.postgres import execute, rows
from eventstore.projections.rebuild.run import AlreadyRebuilding, _exclusive_lock
from tests.journeys.conftest import Shop
from tests.workers.worker import Worker
from tools.verification.bouncer import OLD

pytestmark = [pytest.mark.worker, pytest.mark.slow]

# What PgBouncer itself keeps in step between a client and the server connection that it is given.
KEPT_IN_STEP = {"application_name", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone"} | {
    "standard_conforming_strings"
}
# These are of a transaction, however they are set.
OF_A_TRANSACTION = {"transaction_isolation", "transaction_read_only", "transaction_deferrable"}
BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <>"
    " pg_backend_pid()"
)
LEFT = """
    SELECT 'setting ' || name || ' = ' || setting FROM pg_settings WHERE source = 'session'
        AND name <> ALL(%s)
    UNION ALL
    SELECT 'listens to ' || channel FROM pg_listening_channels() AS channel
    UNION ALL
    SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable
    UNION ALL
    SELECT 'advisory lock ' || classid || ' ' || objid FROM pg_locks
    WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    UNION ALL
    SELECT 'temporary table ' || relname FROM pg_class
    WHERE relpersistence = 't' AND relnamespace = pg_my_temp_schema()
"""
PREPARED = "SELECT 'statement ' || statement FROM pg_prepared_statements"


@pytest.fixture
def worker(pooled, tmp_path):
    worker = Worker(tmp_path)
    yield worker
    if worker.program:
        worker.kill()


def left_behind(pooled):
    """Of every server connection of the pooler, whatever of a client's session is still there."""
    with ExitStack() as held, psycopg.connect(pooled.server, autocommit=True) as direct:
        count = len(direct.execute(BACKENDS).fetchall())
        assert count
        # All at once, each in a transaction, so that each has a server connection to itself.
        seen = {}
        for _ in range(count):
            client = held.enter_context(
                psycopg.connect(os.environ["DATABASE_URL"], prepare_threshold=None)
            )
            client.execute("BEGIN")
            pid = client.execute("SELECT pg_backend_pid()").fetchone()[0]
            found = client.execute(LEFT, [[*KEPT_IN_STEP, *OF_A_TRANSACTION]]).fetchall()
            if pooled.form == OLD:
                found += client.execute(PREPARED).fetchall()
            seen[pid] = sorted(what for (what,) in found)
    assert len(seen) == count
    return {pid: found for pid, found in seen.items() if found}


def test_after_journeys_a_late_subscription_and_a_rebuild_nothing_of_ours_is_left(pooled, worker):
    shop = Shop().stocked(20)
    orders = [shop.place() for _ in range(5)]
    control.pause("orders.details", who="ada")
    worker.start().until_it_is_ready()
    orders += [shop.place(method="tok_declined"), shop.place(postcode="REFUSED")]
    time.sleep(2.5)  # longer than a subscription may stand still before its worker takes notes
    control.resume("orders.details", who="ada")
    for order_id in orders:
        shop.comes_to_an_end(order_id)
    returned = orders[0]
    shop.receive(shop.send_back(returned, 1))
    shop.comes_to(returned, payment_status="REFUNDED")
    for command in (
        ["rebuild_projection", "orders.details"],
        ["rebuild_projection", "orders.details", "--diff"],
    ):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "manage.py", *command], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert left_behind(pooled) == {}


def test_who_rebuilds_alone_holds_no_lock_longer_whichever_connection_it_is_given(pooled):
    """A lock of the session would be taken on one server connection and given back on another, and
    stay for good."""
    with ExitStack() as others, _exclusive_lock("orders.details"):
        with pytest.raises(AlreadyRebuilding), _exclusive_lock("orders.details"):
            pass
        # Whatever server connection is free now is taken by somebody else.
        for _ in range(3):
            others.enter_context(psycopg.connect(os.environ["DATABASE_URL"])).execute("SELECT 1")
    assert left_behind(pooled) == {}
    with _exclusive_lock("orders.details"):
        pass


def test_a_note_of_what_is_begun_does_not_wait_for_the_disk_and_nobody_else_inherits_that(pooled):
    with poison.marking("orders.details") as notes:
        notes.begin(poison.BATCH)
        assert DeliveryMarker.objects.get().times == 1
    assert not DeliveryMarker.objects.exists()
    assert left_behind(pooled) == {}


def test_after_a_rollback_to_a_savepoint_what_was_prepared_is_prepared_anew(pooled):
    """psycopg lets go of everything then; a pooler that keeps statements hangs up on who asks for
    one of them."""

    def ask():
        return [rows("SELECT %s::int", [number]) for number in range(5)]

    before = ask()
    with transaction.atomic():
        for _ in range(5):
            execute("SELECT 1").close()  # until psycopg, too, has prepared one
        with suppress(DivisionByZero), transaction.atomic():
            raise DivisionByZero
    assert ask() == before


def test_a_list_that_is_read_piece_by_piece_is_read_whole_whoever_comes_between(pooled):
    """A cursor held open on the server would stay on one connection, and its rest be asked of
    another."""
    User.objects.bulk_create(User(username=f"ada-{number}") for number in range(20))
    with ExitStack() as others:
        names = User.objects.values_list("username", flat=True).iterator(chunk_size=2)
        first = next(names)
        for _ in range(3):
            others.enter_context(psycopg.connect(os.environ["DATABASE_URL"])).execute("SELECT 1")
        assert len({first, *names}) == 20
    assert left_behind(pooled) == {}


def test_a_worker_that_was_killed_is_not_taken_for_deaf_because_the_poolers_backend_lives(pooled):
    heartbeats.forget_own()
    heartbeats.note(heartbeats.WORKER)
    time.sleep(0.5)
    # Its backend is there still, for whoever comes next.
    limits = Limits(silent=timedelta(seconds=0.2))
    found = [
        each.check
        for check in (workers.missing_workers, workers.stuck_workers)
        for each in check(limits)
    ]
    heartbeats.forget_own()
    assert found == ["no-worker"]
