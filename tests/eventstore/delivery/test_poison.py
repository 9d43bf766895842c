"""A message that ends every worker which takes it is found after a few of them, and the others go
on."""

import os
import time

import pytest
from django.core.management import call_command
from django.db import InterfaceError, InternalError, OperationalError, connection

from eventstore import log, projections
from eventstore.delivery import step, worker
from eventstore.log import ANY, append
from eventstore.models import DeliveryMarker, Event, Parked, SagaState, Subscription
from eventstore.outbox import cursors, parked
from eventstore.subscriptions import Commands, Reaction
from eventstore.testing import drain, unguarded
from tests.eventstore import toy
from tests.eventstore.toy import COUNTER, ROUND, TALLIES, Count, Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True)]

SUBSCRIPTION = "toy.tallies"
MANY = 200
FEW = 6


@pytest.fixture(autouse=True)
def _world(toys):
    toys({"toy": Commands(), "toy.round": ROUND, SUBSCRIPTION: TALLIES})


@pytest.fixture
def deadly(wire):
    """From now on the subscription's handler ends its process when it meets the note "die";
    mended() is the code of old."""

    def make(subscription):
        evolve, react, decide = TALLIES.evolve, ROUND.react, COUNTER.decide
        match subscription:
            case "toy.tallies":
                evolve = evolve | {Counted: dying_of_it(toy.counted)}
            case "toy.round":
                react = react | {Counted: dying_of_it(toy.add)}
            case "toy":
                decide = decide | {Count: dying_of_it(toy.count)}
        subscriptions = {
            "toy": Commands(),
            "toy.round": ROUND._replace(react=react),
            SUBSCRIPTION: TALLIES._replace(evolve=evolve),
        }
        wire(AGGREGATES=[COUNTER._replace(decide=decide)], SUBSCRIPTIONS=subscriptions)

    return make


def dying_of_it(handler):
    def handle(state, message):
        if message.note == "die":
            os._exit(1)
        return handler(state, message)

    return handle


def count(name="a", amount=1, note=""):
    return append(f"counter-{name}", [Counted(name, amount, note)], expected=ANY).position


def deaths_until_all_is_done():
    """As a supervisor would: start a worker again until one comes to the end of its work."""
    deaths, until = 0, time.monotonic() + 30
    while (died := process_of_its_own()) or cursors.work():
        assert time.monotonic() < until
        deaths += died
        time.sleep(
            0.4
        )  # before it is back: three in a second, after which the next one takes notes
    return deaths


def process_of_its_own():
    """A process of its own; 1 if it died in the middle."""
    pid = os.fork()
    if not pid:
        try:
            connection.connection = None  # it is our parent's
            worker.work()
            os._exit(0)
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 1)
    return code


def heard():
    return {tally.pk: tally.heard for tally in Tally.objects.all()}


def died_a_while_ago(position, times):
    """What workers have left behind that noted what they began and did not come back."""
    DeliveryMarker.objects.create(subscription=SUBSCRIPTION, position=position, times=times)
    long_ago()


def long_ago():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE eventstore_subscription SET moved_at = now() - interval '1 hour'")
        cursor.execute("UPDATE eventstore_outbox SET created_at = now() - interval '1 hour'")
        with unguarded():
            cursor.execute("UPDATE eventstore_event SET recorded_at = now() - interval '1 hour'")


class TestAWorkerThatDies:
    def test_of_one_event_among_many_in_a_projection(self, deadly):
        for number in range(MANY):
            count(str(number), 1, "die" if number == 77 else "")
        deadly(SUBSCRIPTION)
        assert deaths_until_all_is_done() <= FEW

        assert heard() == {str(number): [1] for number in range(MANY) if number != 77}
        letter = Parked.objects.get()
        assert (letter.key, letter.status) == ("77", "dead")
        assert letter.error.startswith("PoisonMessage: 2 workers in a row")
        assert not DeliveryMarker.objects.exists()

    def test_of_one_event_among_many_in_a_saga(self, deadly):
        for number in range(MANY):
            count(str(number), 1, "die" if number == 77 else "")
        deadly("toy.round")
        assert deaths_until_all_is_done() <= FEW

        assert SagaState.objects.count() == MANY - 1
        assert list(Parked.objects.values_list("subscription", "key", "status")) == [
            ("toy.round", "77", "dead")
        ]
        assert len(heard()) == MANY

    def test_of_one_command_that_a_saga_has_decided_at_once(self, wire):
        """The saga's own step dies of it at first; then it sends the command by the outbox, whose
        step finds it. What the saga heard is not at fault."""

        def forward(state, event):
            if event.note == "echoed":
                return Reaction(state)
            note = "die" if event.counter_id == "77" else "echoed"
            return Reaction(state, [Count(f"{event.counter_id}-copy", 1, note)])

        decide = COUNTER.decide | {Count: dying_of_it(toy.count)}
        saga = ROUND._replace(react=ROUND.react | {Counted: forward})
        wire(
            AGGREGATES=[COUNTER._replace(decide=decide)],
            SUBSCRIPTIONS={"toy": Commands(), "toy.round": saga, SUBSCRIPTION: TALLIES},
        )
        for number in range(MANY):
            count(str(number), 1)
        assert deaths_until_all_is_done() <= 2 * FEW

        letter = Parked.objects.get()
        assert (letter.subscription, letter.key) == ("toy", "counter-77-copy")
        assert letter.error.startswith("PoisonMessage: 2 workers in a row")
        assert len(heard()) == 2 * MANY - 1

    def test_of_one_command_among_many(self, deadly):
        deadly("toy")
        commands = [Count(str(number), 1, "die" if number == 77 else "") for number in range(MANY)]
        log.write(
            [], [log.outgoing(command, metadata=log.current_metadata()) for command in commands]
        )
        assert deaths_until_all_is_done() <= FEW

        assert (
            Event.objects.values("stream").distinct().count() == Event.objects.count() == MANY - 1
        )
        assert list(Parked.objects.values_list("key", "status")) == [("counter-77", "dead")]
        assert len(heard()) == MANY - 1

    def test_of_two_messages_of_the_same_subscription(self, deadly):
        deadly(SUBSCRIPTION)
        for number in range(20):
            count(str(number), 1, "die" if number in (3, 15) else "")
        assert deaths_until_all_is_done() <= 2 * FEW
        assert set(Parked.objects.values_list("key", "status")) == {("3", "dead"), ("15", "dead")}
        assert len(heard()) == 18

    def test_of_a_message_that_a_person_asks_for_again(self, deadly, wire):
        deadly(SUBSCRIPTION)
        last = count("a", 1, "die")
        deaths_until_all_is_done()
        count("b", 2)
        call_command("dead_letters", "retry", SUBSCRIPTION, str(last))
        assert deaths_until_all_is_done() <= FEW
        assert Parked.objects.get().status == "dead"
        assert heard() == {"b": [2]}

        call_command("dead_letters", "retry", SUBSCRIPTION, str(last))
        wire(SUBSCRIPTIONS={SUBSCRIPTION: TALLIES})  # the code is mended
        drain()
        assert heard() == {"a": [1], "b": [2]}


class TestAConnectionThatBreaks:
    def test_of_the_same_message_again_and_again_parks_it_and_the_others_go_on(self, wire, another):
        """As by one that ends its server process, or that idles in the transaction until it is cut
        off."""

        def breaking(row, event):
            if event.note == "die":
                another().execute(
                    "SELECT pg_terminate_backend(%s, 1000)",
                    [connection.connection.info.backend_pid],
                )
            return toy.counted(row, event)

        for number in range(20):
            count(str(number), 1, "die" if number == 7 else "")
        wire(
            SUBSCRIPTIONS={
                SUBSCRIPTION: TALLIES._replace(evolve=TALLIES.evolve | {Counted: breaking})
            }
        )
        breaks = 0
        while cursors.work():
            try:
                worker.work()
            except (OperationalError, InterfaceError, InternalError):
                breaks += 1
                assert breaks <= FEW
                time.sleep(0.5)
        assert list(Parked.objects.values_list("key", "status")) == [("7", "dead")]
        assert len(heard()) == 19


class TestTheNote:
    def test_while_all_is_well_nothing_is_noted_or_asked(self, django_assert_num_queries):
        count()
        with django_assert_num_queries(_statements_of_a_step()):
            step.step(SUBSCRIPTION)
        assert not DeliveryMarker.objects.exists()

    def test_a_subscription_that_nobody_came_to_for_long_is_taken_as_ever_and_the_note_is_gone(
        self,
    ):
        for number in range(5):
            count(str(number))
        long_ago()
        assert step.step(SUBSCRIPTION) == 5
        assert not DeliveryMarker.objects.exists()
        assert len(heard()) == 5

    def test_it_outlives_a_transaction_that_is_rolled_back(self, monkeypatch):
        def dies(*args):
            assert DeliveryMarker.objects.using("default").count() == 1
            raise SystemExit(1)

        count()
        long_ago()
        monkeypatch.setattr(projections, "project", dies)
        with pytest.raises(SystemExit):
            step.step(SUBSCRIPTION)
        assert not DeliveryMarker.objects.exists()  # it lived to take it back

    def test_a_handler_at_fault_is_not_taken_for_deadly(self, monkeypatch):
        position = count("a", 1, "boom")
        count("b", 2)
        died_a_while_ago(position, 1)
        drain()
        letter = Parked.objects.get(subscription=SUBSCRIPTION)
        assert (letter.status, letter.attempts) == ("failed", 1)
        assert heard() == {"b": [2]}

    def test_a_death_of_another_message_does_not_count_for_it(self):
        first, second = count("a", 1), count("b", 2)
        died_a_while_ago(first, 1)
        step.step(SUBSCRIPTION)
        assert heard() == {"a": [1], "b": [2]}
        assert second > first

    def test_behind_the_deadly_one_nothing_is_taken_in_the_same_step(self):
        """Whoever comes next may be deadly as well, and would take the parking back with it."""
        position = count("a", 1)
        count("b", 2)
        died_a_while_ago(position, 2)
        step.step(SUBSCRIPTION)
        assert Parked.objects.get().status == "dead"
        assert Subscription.objects.get(pk=SUBSCRIPTION).position == position
        assert heard() == {}
        drain()
        assert heard() == {"b": [2]}

    def test_what_comes_after_it_in_its_stream_waits_behind_it(self):
        position = count("a", 1)
        count("a", 2)
        died_a_while_ago(position, 2)
        drain()
        assert list(Parked.objects.order_by("position").values_list("status", flat=True)) == [
            "dead",
            "waiting",
        ]

    def test_of_a_message_that_was_parked_already(self):
        position = count("a", 1, "boom")
        drain()
        Parked.objects.update(due_at="2000-01-01T00:00Z")
        died_a_while_ago(position, 2)
        drain()
        letter = Parked.objects.get(subscription=SUBSCRIPTION)
        assert (letter.status, letter.attempts, letter.due_at) == ("dead", parked.ATTEMPTS, None)
        assert letter.error.startswith("PoisonMessage")


def _statements_of_a_step():
    """BEGIN, claim, read, load the rows, write them, move, COMMIT."""
    return 7
