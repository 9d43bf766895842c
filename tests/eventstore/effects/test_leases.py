"""The lease of a call: kept while its worker lives, soon over when it does not, and never longer
than it was meant."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, transaction
from django.db.models.functions import Now

from eventstore import postgres, registry
from eventstore.delivery import step
from eventstore.effects import calls, leases
from eventstore.effects.leases import Lease
from eventstore.log import ANY, append
from eventstore.models import Event, OutboxMessage, Parked
from eventstore.outbox import cursors, parked
from eventstore.subscriptions import Effect
from eventstore.testing import drain
from tests.eventstore.concurrently import in_thread, until, url_of_the_test
from tests.eventstore.toy import Close, Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

SUBSCRIPTION = "toy.effect"
LONGEST = timedelta(seconds=60)


@pytest.fixture
def leased(toys):
    """A call that was leased a moment ago, by its first attempt."""
    toys({SUBSCRIPTION: Effect(perform={Counted: close})})
    append("counter-a", [Counted("a")], expected=ANY)
    with transaction.atomic():
        calls.Caller(SUBSCRIPTION, registry.subscriptions()[SUBSCRIPTION]).take_in(10)
    Parked.objects.update(due_at=Now() + timedelta(seconds=1))
    return Parked.objects.get(status="leased", attempts=1)


def close(event, key):
    return Close(event.counter_id)


def held(parked, *, token=1, longest=LONGEST, ago=5.0):
    return Lease(
        SUBSCRIPTION, parked.position, token, taken_at=time.monotonic() - ago, longest=longest
    )


def due_in_less_than(seconds):
    return Parked.objects.filter(due_at__lt=Now() + timedelta(seconds=seconds)).exists()


class TestRenewing:
    def test_it_is_held_anew_for_its_whole_length(self, leased):
        ours = held(leased)
        leases.renew([ours])
        assert not due_in_less_than(leases.SECONDS - 1)
        assert ours.until > time.monotonic() + leases.SECONDS - 1

    def test_one_that_has_run_out_is_held_again_if_nobody_has_taken_it_over(self, leased):
        Parked.objects.update(due_at="2020-01-01T00:00Z")
        ours = held(leased, ago=20.0)
        assert not ours.is_held
        leases.renew([ours])
        assert ours.is_held
        assert cursors.work() == set()

    @pytest.mark.parametrize("change", [{"attempts": 2}, {"status": "failed"}])
    def test_what_is_another_workers_by_now_is_left_to_it(self, leased, change):
        Parked.objects.update(**change, due_at="2020-01-01T00:00Z")
        ours = held(leased, ago=20.0)
        leases.renew([ours])
        assert not ours.is_held
        assert due_in_less_than(0)

    def test_nobody_waits_for_who_is_settling_it(self, leased):
        ours = held(leased)
        with transaction.atomic():
            parked.settle(SUBSCRIPTION, {leased.position: 1})
            in_thread(leases.renew, [ours]).result(5)
        assert not Parked.objects.exists()

    def test_no_call_is_kept_for_longer_than_it_may_take(self, leased):
        leases.renew([held(leased, longest=timedelta(seconds=7))])
        assert due_in_less_than(2)
        before = Parked.objects.get().due_at
        leases.renew([held(leased, longest=timedelta(seconds=5))])
        assert Parked.objects.get().due_at == before

    def test_a_quick_call_costs_no_connection(self, leased, monkeypatch):
        monkeypatch.setattr(postgres, "beside", lambda: pytest.fail("it connects"))
        leases.renew([held(leased, ago=1.0)])
        leases.renew([])

    def test_a_database_that_is_away_is_waited_for(self, leased, monkeypatch):
        def away():
            raise OperationalError("the database system is in recovery mode")

        ours = held(leased)
        with monkeypatch.context() as patch:
            patch.setattr(postgres, "beside", away)
            leases.renew([ours])
        leases.renew([ours])
        assert not due_in_less_than(leases.SECONDS - 1)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_who_was_forked_or_has_lost_its_thread_begins_anew(self, monkeypatch):
        monkeypatch.setattr(leases, "RENEWED_EVERY", 0.0)
        asked = []

        def once():
            asked.append(1)
            raise SystemExit

        process = calls.Calls()
        monkeypatch.setattr(process, "held", once)
        for times in (1, 2):
            process.keep_leases()
            process.renewal.join(5)
            assert len(asked) == times


class TestAWorker:
    def test_keeps_its_call_while_it_lives_and_is_soon_followed_when_it_dies(self, toys):
        """A process of its own; its leases last 0.6 s."""
        asked = []

        def find(event, key):
            asked.append(key)
            return Close(event.counter_id)

        toys({SUBSCRIPTION: Effect(perform={Counted: close}, find={Counted: find})})
        append("counter-a", [Counted("a")], expected=ANY)
        with calling() as worker:
            begun = until(lambda: Parked.objects.filter(status="leased").first(), seconds=30)
            until(lambda: Parked.objects.get().due_at > begun.due_at + timedelta(seconds=1))
            assert step.step(SUBSCRIPTION) == 0
            assert Parked.objects.get().attempts == 1

            worker.kill()
            until(lambda: cursors.work() == {SUBSCRIPTION})
            drain()
        assert asked == [str(Event.objects.get().id)]
        assert OutboxMessage.objects.filter(topic="toy").count() == 1

    def test_that_is_stopped_is_followed_too_and_does_not_take_it_back(self, toys):
        toys({SUBSCRIPTION: Effect(perform={Counted: close})})
        append("counter-a", [Counted("a")], expected=ANY)
        with calling() as worker:
            until(lambda: Parked.objects.filter(status="leased").exists(), seconds=30)
            worker.send_signal(signal.SIGSTOP)
            until(lambda: cursors.work() == {SUBSCRIPTION})
            Parked.objects.update(
                attempts=2, due_at="2020-01-01T00:00Z"
            )  # as who has taken it over, and is slow
            worker.send_signal(signal.SIGCONT)
            time.sleep(0.3)
            assert due_in_less_than(0)


@contextmanager
def calling():
    command = [sys.executable, "-m", "tests.eventstore.effects.calling", SUBSCRIPTION]
    environment = {"DATABASE_URL": url_of_the_test(), "EVENTSTORE_WAKE_WORKERS": "0"}
    worker = subprocess.Popen(command, env=os.environ | environment)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()
