"""A turn of a worker: how long it looks for more, and what it does beside what."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext

from eventstore.commands import bus
from eventstore.delivery import step, worker
from eventstore.log import ANY, append
from eventstore.outbox import wakeup
from eventstore.subscriptions import Commands
from tests.eventstore.concurrently import until
from tests.eventstore.toy import EFFECT, ROUND, TALLIES, Count, Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

SUBSCRIPTION = "toy.tallies"


def count(name="a", amount=1, note="", times=1):
    append(f"counter-{name}", [Counted(name, amount, note)] * times, expected=ANY)


def totals():
    return dict(Tally.objects.values_list("counter_id", "total"))


class TestTheEndOfATurn:
    @pytest.fixture
    def rests(self, monkeypatch):
        """How often a turn has rested before another look; rests.then is done in the first of
        them."""

        class Rests(list):
            then = staticmethod(lambda: None)

        rests, sleep = Rests(), worker.time.sleep

        def rest(seconds):
            rests.append(seconds)
            if len(rests) == 1:
                rests.then()
            sleep(seconds)

        monkeypatch.setattr("eventstore.delivery.worker.time.sleep", rest)
        return rests

    def test_what_is_written_just_after_it_needs_no_nudge(self, rests):
        rests.then = lambda: count("b")
        count("a")
        assert worker.run_turn() == 2
        assert totals() == {"a": 1, "b": 1}

    def test_one_that_found_nothing_does_not_look_again(self, rests):
        assert worker.run_turn() == 0
        assert rests == []

    def test_it_looks_for_no_longer_than_nudges_lie_apart(self, rests):
        count()
        worker.run_turn()
        assert 1 <= len(rests) <= wakeup.GAP_SECONDS / worker.LOOK_SECONDS


class TestNudges:
    def test_many_commands_one_after_another_are_two(self, settings, monkeypatch):
        """One at once, and one for all that came in the gap after it."""
        settings.EVENTSTORE_WAKE_WORKERS = True
        sent, gap = [], threading.Event()
        monkeypatch.setattr(wakeup, "_publish", lambda: bool(sent.append(1)) or True)
        monkeypatch.setattr("eventstore.outbox.wakeup.time.sleep", lambda seconds: gap.wait(5))
        for _ in range(20):
            bus.dispatch(Count("a"))
        until(lambda: sent)
        assert sent == [1]
        gap.set()
        until(lambda: len(sent) == 2)


class TestReadModelsUnderLoad:
    @pytest.fixture
    def thread(self):
        with ThreadPoolExecutor(1, thread_name_prefix="readers") as executor:
            yield executor
            executor.submit(connections.close_all).result()

    @pytest.fixture
    def read_in(self, toys, monkeypatch):
        """The threads in which the read model was brought up to date; ten messages are a load."""
        threads = []

        def counted(row, event):
            threads.append(threading.current_thread().name.partition("_")[0])
            return TALLIES.evolve[Counted](row, event)

        toys(
            {
                "toy": Commands(),
                SUBSCRIPTION: TALLIES._replace(evolve={Counted: counted}),
                "toy.round": ROUND,
            }
        )
        monkeypatch.setattr(worker, "READERS_BATCH", 10)
        return threads

    def test_they_take_a_batch_beside_the_processes(self, thread, read_in):
        for name in range(20):
            count(f"c{name}", note="echo")
        assert worker.Worker(thread).run_once(seconds=5) >= 60
        assert set(totals().values()) == {2}
        assert "readers" in read_in

    def test_without_load_nobody_begins_a_thread_for_them(self, thread, read_in):
        count("a", note="echo")
        worker.Worker(thread).run_once(seconds=5)
        assert totals() == {"a": 2}
        assert "readers" not in read_in

    def test_trouble_there_is_the_trouble_of_the_turn(self, thread, read_in, monkeypatch):
        def cut_off(*_):
            raise OperationalError(threading.current_thread().name)

        monkeypatch.setattr("eventstore.projections.project", cut_off)
        for name in range(20):
            count(f"c{name}", note="echo")
        with pytest.raises(OperationalError, match="readers"):
            worker.Worker(thread).run_once(seconds=5)


class TestWhatABatchCosts:
    @pytest.mark.parametrize("subscription", ["toy", "toy.round"])
    def test_a_hundred_messages_cost_as_many_statements_as_one(self, toys, subscription):
        toys({"toy": Commands(), "toy.round": ROUND})

        def statements(messages):
            for number in range(messages):
                count(f"c{number}", note="echo")
            bus.enqueue([Count(f"c{number}") for number in range(messages)])
            with CaptureQueriesContext(connection) as queries:
                assert step.step(subscription) == messages
            return len(queries)

        assert statements(1) == statements(100) <= 9

    def test_two_thousand_events_of_one_row_are_one_write(self):
        count(times=1500)
        with CaptureQueriesContext(connection) as queries:
            assert step.step(SUBSCRIPTION) == 1500
        assert (
            len(
                [
                    query
                    for query in queries
                    if "toy_tally" in query["sql"] and "SELECT" not in query["sql"][:20]
                ]
            )
            == 1
        )

    def test_a_hundred_calls_are_two_commits(self, toys):
        toys({"toy.effect": EFFECT._replace(concurrency=100)})
        for number in range(100):
            count(f"c{number}")
        with CaptureQueriesContext(connection) as queries:
            step.step("toy.effect")
        assert len([query for query in queries if query["sql"] == "COMMIT"]) == 2
