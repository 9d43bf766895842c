"""Relays in the workers, and in a process of their own; with a broker in memory."""

import threading
import time

import pytest

from eventstore.delivery import heartbeats, relays, worker
from eventstore.log import ANY, append
from eventstore.messaging import brokers, relay
from eventstore.messaging.transport import BrokerUnreachable, Sent, TooLarge
from eventstore.models import Parked, RelayLease, Subscription
from eventstore.outbox import wakeup
from eventstore.testing import drain
from tests.eventstore.concurrently import until
from tests.eventstore.toy import Counted
from tests.messaging import world

pytestmark = [pytest.mark.django_db(transaction=True)]

NAME = "toy.published@memory"


class Memory:
    """A broker. published: the amounts in order; fails: the next batch; refuses: an amount."""

    def __init__(self):
        self.published, self.fails, self.refuses = [], False, None
        self.while_it_acknowledges = lambda: None

    def prepare(self, envelope):
        return envelope.event.amount

    def send(self, batch, meanwhile):
        meanwhile()
        self.while_it_acknowledges()
        if self.fails:
            self.fails = False
            return Sent(problem=BrokerUnreachable("away"))
        done, refused = [], {}
        for position, amounts in batch.messages:
            if self.refuses in amounts:
                refused[position] = TooLarge("too large")
            else:
                self.published += amounts
                done.append(position)
        return Sent(frozenset(done), refused)

    def close(self):
        pass


@pytest.fixture
def broker(toys, monkeypatch):
    memory = Memory()
    monkeypatch.setattr(brokers, "transport", lambda broker, name: memory)
    monkeypatch.setattr(relay, "FIRST_REST_SECONDS", 0.01)
    _, parts = world.parts("toy", "memory")
    subscriptions = parts.pop("SUBSCRIPTIONS")
    toys(subscriptions, **parts)
    heartbeats.forget_own()
    relays.process.forget()
    yield memory
    relay.this_process.stop()
    heartbeats.forget_own()
    relays.process.forget()


def count(*amounts, key="a"):
    append(f"counter-{key}", [Counted(key, amount) for amount in amounts], expected=ANY)


def position():
    return Subscription.objects.get(pk=NAME).position


def at_end():
    return position() >= Subscription.objects.get(pk="toy.published").position


def settled():
    drain()
    return at_end()


class TestReadingAhead:
    @pytest.fixture(autouse=True)
    def _small_batches(self, monkeypatch):
        monkeypatch.setattr(relay, "BATCH", 10)

    def test_every_message_is_published_once_and_in_order(self, broker):
        count(*range(1, 96))
        drain()
        assert broker.published == list(range(1, 96))
        assert at_end()

    def test_the_next_batch_is_read_while_the_broker_acknowledges(self, broker, monkeypatch):
        ahead = []
        broker.while_it_acknowledges = lambda: ahead.append(
            relay.this_process.by_name[NAME].ahead is not None
        )
        count(*range(1, 36))
        drain()
        assert ahead == [True, True, True, False]

    def test_after_a_failure_it_is_read_again(self, broker):
        broker.fails = True
        count(*range(1, 36))
        until(settled)
        assert broker.published == list(range(1, 36))

    def test_behind_a_refused_message_those_of_its_key_wait(self, broker):
        broker.refuses = 3
        count(*range(1, 36))
        count(100, key="b")
        until(settled)
        # What the broker took beside it in the first batch, before it was known.
        assert broker.published == [1, 2, *range(4, 11), 100]
        assert Parked.objects.filter(subscription=NAME).count() == 33

    def test_a_cursor_that_an_operator_moves_meanwhile_is_followed(self, broker):
        def reset():
            broker.while_it_acknowledges = lambda: None
            Subscription.objects.filter(pk=NAME).update(position=0)

        count(*range(1, 36))
        drain()
        count(*range(36, 71))
        broker.while_it_acknowledges = reset
        until(settled)
        assert broker.published[-70:] == list(range(1, 71))


class TestInTheWorkers:
    def test_without_a_process_of_their_own_a_worker_relays(self, broker):
        count(1)
        drain()
        assert broker.published == [1]

    def test_while_one_is_alive_the_worker_leaves_them_to_it_and_wakes_it(
        self, broker, monkeypatch
    ):
        woken = []
        monkeypatch.setattr(wakeup, "wake_relays", lambda: woken.append(1))
        heartbeats.note(heartbeats.RELAYS)
        count(1)
        worker.run_turn()
        assert woken
        assert broker.published == []
        assert Subscription.objects.get(pk="toy.published").position > position()

    def test_when_it_is_silent_the_worker_takes_over(self, broker, monkeypatch):
        heartbeats.note(heartbeats.RELAYS)
        count(1)
        worker.run_turn()
        monkeypatch.setattr(relays, "SILENCE", relays.SILENCE * 0)
        relays.process.forget()
        drain()
        assert broker.published == [1]

    def test_a_turn_does_not_wait_for_a_slow_broker(self, broker):
        gate = threading.Event()
        broker.while_it_acknowledges = lambda: gate.wait(10)
        count(1)
        began = time.monotonic()
        worker.run_turn()
        assert time.monotonic() - began < 5
        assert broker.published == []
        gate.set()
        until(lambda: broker.published == [1])

    def test_what_is_written_while_it_lingers_is_published_without_a_wake_up(self, broker):
        count(1)
        drain()
        count(2)
        until(lambda: broker.published == [1, 2])


class TestInAProcess:
    @pytest.fixture
    def served(self, broker, monkeypatch):
        """The process, as a thread of ours."""
        monkeypatch.setattr(relays, "POLL_SECONDS", 0.05)
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=[stop])
        thread.start()
        yield stop
        stop.set()
        thread.join(20)
        assert not thread.is_alive()

    def test_it_publishes_and_can_be_seen(self, broker, served):
        count(1, 2, 3)
        until(lambda: broker.published == [1, 2, 3])
        (beat,) = (each for each in heartbeats.heartbeats() if each.kind == heartbeats.RELAYS)
        assert beat.seconds < 10

    def test_when_it_ends_it_signs_off_and_releases_its_leases(self, broker, served):
        count(1)
        until(lambda: at_end() and broker.published == [1])
        served.set()
        until(lambda: not heartbeats.is_alive(heartbeats.RELAYS, within=relays.SILENCE))
        relays.process.forget()
        count(2)
        drain()
        assert broker.published == [1, 2]
        assert RelayLease.objects.get(pk=NAME).error == ""

    def test_an_error_of_the_database_does_not_end_it(self, broker, monkeypatch, served):
        failing = []

        def fail():
            failing.append(1)
            raise RuntimeError("away")

        with monkeypatch.context() as patch:
            patch.setattr(relays.cursors, "look", fail)
            until(lambda: failing)
        count(1)
        until(lambda: broker.published == [1])


def _serve(stop):
    from django.db import connections

    relays.serve(stop)
    connections.close_all()


@pytest.mark.usefixtures("broker")
class TestWakeUps:
    @pytest.fixture(autouse=True)
    def _on(self, settings):
        settings.EVENTSTORE_WAKE_WORKERS = True

    def test_a_waiting_process_is_woken(self):
        listener = wakeup.relay_listener()
        try:
            listener.wait(0.1)  # connects
            threading.Timer(0.2, wakeup.wake_relays).start()
            began = time.monotonic()
            listener.wait(20)
            assert time.monotonic() - began < 10
        finally:
            listener.close()

    def test_without_a_broker_it_polls(self, monkeypatch):
        def away(self):
            raise OSError("away")

        monkeypatch.setattr(wakeup.Listener, "_connect", away)
        monkeypatch.setattr(wakeup, "SILENT_SECONDS", 0.01)
        listener = wakeup.relay_listener()
        listener.wait(5)
        assert listener.connection is None
