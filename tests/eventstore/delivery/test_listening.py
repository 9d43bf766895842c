"""The thread that delivers in each process of a worker: it is woken by the broker, and does without
it."""

import threading
import time
from uuid import uuid4

import pytest
from django.db import connections

from eventstore import tasks
from eventstore.commands import bus
from eventstore.delivery import listening, worker
from eventstore.log import ANY, append
from eventstore.outbox import wakeup
from tests.eventstore.concurrently import in_thread, until
from tests.eventstore.toy import TALLIES, Count, Counted, Tally

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # The end of a thread in a test.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _on(settings, monkeypatch):
    """With a queue of the test's own, where no wake-up of an earlier test can come."""
    settings.EVENTSTORE_WAKE_WORKERS = True
    monkeypatch.setattr(wakeup, "_workers", wakeup.Signal(lambda: wakeup._publish()))
    own = f"test-{uuid4().hex}"
    monkeypatch.setattr(wakeup, "_name", lambda what: f"{own}.{what}")


@pytest.fixture
def received(monkeypatch):
    """The wake-ups that have come to this process."""
    found = []
    monkeypatch.setattr(wakeup, "_ignore", lambda body, message: found.append(message))
    return found


@pytest.fixture
def listeners(received):
    made = [wakeup.worker_listener() for _ in range(2)]
    for each in made:
        each.wait(0.1)  # connects
    yield made
    for each in made:
        each.close()


def test_one_of_those_that_wait_is_woken(listeners, received):
    waits = [in_thread(each.wait, 2) for each in listeners]
    assert wakeup._publish()
    until(lambda: received)
    for each in waits:
        each.result(20)
    assert len(received) == 1


def test_no_more_than_some_wait_at_the_broker_while_no_worker_is_there():
    from celery import current_app

    for _ in range(3 * wakeup.MOST_WAITING):
        assert wakeup._publish()
    queue = wakeup._queue_of_workers()
    with current_app.connection_for_write() as connection:
        declared = connection.default_channel.queue_declare(
            queue=queue.name, durable=True, auto_delete=False, arguments=queue.queue_arguments
        )
    assert declared.message_count == wakeup.MOST_WAITING


@pytest.fixture
def delivering(toys, monkeypatch):
    """The thread of this process, as after a fork; it ends with the test."""
    toys({"toy.tallies": TALLIES})
    stop, this = threading.Event(), listening.Listening()
    monkeypatch.setattr(listening, "this_process", this)
    run_turn = worker.run_turn

    def turn():
        if stop.is_set():
            connections.close_all()
            raise SystemExit
        return run_turn()

    monkeypatch.setattr(worker, "run_turn", turn)
    monkeypatch.setattr(listening, "POLL_SECONDS", 0.05)
    yield this
    stop.set()
    wakeup._publish()
    until(lambda: not this.is_alive(), seconds=12)


def count():
    append("counter-a", [Counted("a", 1)], expected=ANY)


def total():
    return sum(Tally.objects.values_list("total", flat=True))


def test_it_delivers_when_it_is_woken(delivering, monkeypatch):
    monkeypatch.setattr(listening, "POLL_SECONDS", 10.0)
    delivering.begin()
    time.sleep(0.3)
    bus.dispatch(Count("a"))
    until(lambda: total() == 1)


def test_it_delivers_without_a_broker(delivering, monkeypatch):
    def away(self):
        raise OSError("away")

    monkeypatch.setattr(wakeup.Listener, "_connect", away)
    monkeypatch.setattr(wakeup, "SILENT_SECONDS", 0.01)
    delivering.begin()
    for number in range(1, 3):
        count()
        until(lambda: total() == number)  # noqa: B023


def test_an_error_does_not_end_it(delivering, monkeypatch):
    failing, turn = threading.Event(), worker.run_turn

    def fail():
        if not failing.is_set():
            failing.set()
            raise OSError("the database is away")
        return turn()

    monkeypatch.setattr(worker, "run_turn", fail)
    delivering.begin()
    assert failing.wait(5)
    count()
    until(lambda: total() == 1)


def test_begun_twice_there_is_one(delivering, monkeypatch):
    delivering.begin()
    delivering.begin()
    assert [each.name for each in threading.enumerate()].count("deliver") == 1


def test_the_poll_of_beat_delivers_unless_a_turn_is_under_way(toys, monkeypatch):
    toys({"toy.tallies": TALLIES})
    inside, go, run_once = threading.Event(), threading.Event(), worker.Worker.run_once

    def slow(self, seconds=worker.TURN_SECONDS):
        inside.set()
        go.wait(10)
        return run_once(self, seconds)

    count()
    monkeypatch.setattr(worker.Worker, "run_once", slow)
    turn = in_thread(worker.run_turn)
    assert inside.wait(5)
    tasks.deliver()
    assert total() == 0
    go.set()
    assert turn.result(5) == 1
    count()
    tasks.deliver()
    assert total() == 2


def test_who_ends_waits_for_its_turn_and_begins_no_other(monkeypatch, toys):
    this, inside, go = worker.Worker(), threading.Event(), threading.Event()

    def run_once(self, seconds=0.0):
        inside.set()
        go.wait(10)
        return 0

    monkeypatch.setattr(worker.Worker, "run_once", run_once)
    turn = in_thread(this.run_turn)
    assert inside.wait(5)
    ended = in_thread(this.finish)
    time.sleep(0.1)
    assert not ended.done()
    go.set()
    ended.result(5)
    assert turn.result(5) == 0
    inside.clear()
    in_thread(this.run_turn)
    assert not inside.wait(0.3)
