"""Calls to the outside world: leased, made side by side outside of any transaction, answered once,
in order."""

import signal
import threading
from collections import defaultdict
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction

from eventstore import log, registry
from eventstore.delivery import kinds, step
from eventstore.effects import calls
from eventstore.log import ANY, append
from eventstore.messages import Event as Said
from eventstore.models import Event, OutboxMessage, Parked, Subscription
from eventstore.outbox import cursors, parked
from eventstore.subscriptions import Commands, Effect, NotYet
from eventstore.testing import drain
from tests.eventstore import toy
from tests.eventstore.concurrently import in_thread, stopped, until
from tests.eventstore.toy import EVENTS, TALLIES, Close, Count, Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

SUBSCRIPTION = "toy.effect"


def count(name="a", amount=1, note=""):
    return append(f"counter-{name}", [Counted(name, amount, note)], expected=ANY).position


def answers():
    return list(
        OutboxMessage.objects.filter(topic="toy").order_by("position").values_list("key", flat=True)
    )


def leases_run_out():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE eventstore_parked SET due_at = now() WHERE status = 'leased'")


def make_due():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE eventstore_parked SET due_at = now() WHERE due_at IS NOT NULL")


@pytest.fixture
def provider(toys):
    """Somebody else's service, called by the subscription toy.effect."""
    made = Provider()
    toys({SUBSCRIPTION: Effect(perform={Counted: made.call}, concurrency=2)})
    yield made
    made.let_go()


class Provider:
    """Answers at once; fails or waits for whom it is told to. calls: by counter, (amount, key) in
    order."""

    def __init__(self):
        self.calls = defaultdict(list)
        self.failing = set()
        self.slow = defaultdict(threading.Event)
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    def call(self, event, key):
        with self.lock:
            self.calls[event.counter_id].append((event.amount, key))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            wait = self.slow.get(event.counter_id)
        try:
            if wait:
                assert wait.wait(10)
            if event.counter_id in self.failing:
                raise TimeoutError("no answer")
            return Close(event.counter_id)
        finally:
            with self.lock:
                self.at_once -= 1

    def let_go(self):
        for wait in self.slow.values():
            wait.set()

    def amounts(self, name):
        return [amount for amount, _ in self.calls[name]]


class TestACall:
    def test_its_answer_is_owed_once(self, provider):
        count()
        drain()
        assert drain() == 0

        assert answers() == ["counter-a"]
        assert provider.amounts("a") == [1]
        assert not Parked.objects.exists()

    def test_it_carries_the_events_id_as_key_and_the_same_one_at_every_try(self, provider):
        provider.failing = {"a"}
        count()
        drain()
        make_due()
        drain()
        key = str(Event.objects.get().id)
        assert provider.calls["a"] == [(1, key), (1, key)]

    def test_its_answer_says_what_led_to_it(self, provider):
        count()
        drain()
        event, answer = Event.objects.get(), OutboxMessage.objects.get(topic="toy")
        assert answer.metadata["causation_id"] == str(event.id)
        assert answer.metadata["correlation_id"] == str(event.correlation_id)
        assert answer.metadata["actor"] == SUBSCRIPTION

    def test_no_transaction_is_open_while_it_is_made(self, provider, another):
        provider.slow["a"]
        count()
        step.step(SUBSCRIPTION)
        until(lambda: provider.at_once)
        open_ones = (
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle"
            " in%'"
        )
        assert another().execute(open_ones).fetchall() == []
        assert Parked.objects.get().status == "leased"

    def test_a_failed_one_is_put_off_and_noted(self, provider):
        provider.failing = {"a"}
        count()
        count("b")
        drain()
        note = Parked.objects.get()
        assert (note.key, note.status, note.attempts, note.error) == (
            "counter-a", "failed", 1, "TimeoutError: no answer",
        )  # fmt: skip
        assert answers() == ["counter-b"]

        provider.failing = set()
        make_due()
        drain()
        assert answers() == ["counter-b", "counter-a"]

    def test_after_the_last_attempt_it_is_a_dead_letter(self, provider, monkeypatch):
        monkeypatch.setattr(parked, "ATTEMPTS", 2)
        provider.failing = {"a"}
        count()
        for _ in range(4):
            drain()
            make_due()
        assert Parked.objects.get().status == "dead"
        assert len(provider.calls["a"]) == 2

    @pytest.mark.parametrize("text", ["nul \x00", "surrogate \ud800"])
    @pytest.mark.parametrize(
        ("command", "error"),
        [(Close, "InvalidStreamName"), (partial(Count, "a", 1), "Unstorable")],
        ids=["id", "note"],
    )
    def test_an_answer_that_cannot_be_stored_is_a_failure_of_its_own_call_only(
        self, toys, text, command, error
    ):
        def answer(event, key):
            return command(text) if event.counter_id == "a" else Close(event.counter_id)

        toys({SUBSCRIPTION: Effect(perform={Counted: answer})})
        count("a")
        count("b")
        drain()
        assert Parked.objects.get().error.startswith(error)
        assert answers() == ["counter-b"]

    def test_an_answer_that_is_no_command_is_a_failure_too(self, toys):
        toys({SUBSCRIPTION: Effect(perform={Counted: lambda event, key: None})})
        count("a")
        drain()
        assert Parked.objects.get().status == "failed"

    def test_an_event_that_cannot_be_read_is_put_off_and_does_not_reach_the_provider(
        self, toys, provider
    ):
        count("a")
        toys(
            {SUBSCRIPTION: Effect(perform={Counted: provider.call})},
            UPCASTERS=[{"toy.counted": {1: lambda data: {}}}],
        )
        drain()
        assert Parked.objects.get().error.startswith("Undecodable")
        assert provider.calls == {}

    def test_an_event_of_a_type_unknown_until_now_that_the_subscription_does_not_hear_is_let_go(
        self, toys, provider
    ):
        aggregate = toys_aggregate_with(Unheard)
        subscription = {SUBSCRIPTION: Effect(perform={Counted: provider.call})}
        toys(subscription, EVENTS=[EVENTS[0] | {"toy.unheard": Unheard}], AGGREGATES=[aggregate])
        append("counter-a", [Unheard("a"), Counted("a", 2)], expected=0)
        toys(subscription)
        drain()
        assert provider.calls == {}
        toys(subscription, EVENTS=[EVENTS[0] | {"toy.unheard": Unheard}], AGGREGATES=[aggregate])
        make_due()
        drain()
        assert provider.amounts("a") == [2]
        assert not Parked.objects.exists()


class TestAskedByKey:
    @pytest.fixture
    def knowing(self, toys, provider):
        """The provider can be asked by key, and knows of what it has done. asked: the keys it was
        asked for."""
        provider.asked, provider.done = [], set()

        def find(event, key):
            provider.asked.append(key)
            return Close(event.counter_id) if event.counter_id in provider.done else None

        toys({SUBSCRIPTION: Effect(perform={Counted: provider.call}, find={Counted: find})})
        return provider

    def test_at_the_first_try_nobody_asks(self, knowing):
        count()
        drain()
        assert knowing.asked == []
        assert knowing.amounts("a") == [1]

    def test_what_was_done_without_an_answer_is_not_done_again(self, knowing):
        knowing.failing, knowing.done = {"a"}, {"a"}
        count()
        drain()
        make_due()
        drain()
        assert knowing.asked == [str(Event.objects.get().id)]
        assert knowing.amounts("a") == [1]
        assert answers() == ["counter-a"]

    def test_what_was_not_done_is_done_then(self, knowing):
        knowing.failing = {"a"}
        count()
        drain()
        knowing.failing = set()
        make_due()
        drain()
        assert len(knowing.asked) == 1
        assert knowing.amounts("a") == [1, 1]
        assert answers() == ["counter-a"]

    def test_who_takes_over_from_a_dead_worker_asks_too(self, knowing):
        knowing.slow["a"]
        knowing.done = {"a"}
        count()
        step.step(SUBSCRIPTION)
        until(lambda: knowing.at_once)
        calls.this_process.forget()
        leases_run_out()
        drain_in_another_process(knowing)
        assert knowing.amounts("a") == [1]
        assert answers() == ["counter-a"]


class TestTheOrder:
    def test_calls_of_one_stream_are_made_one_after_another(self, provider):
        for amount in (1, 2, 3):
            count("a", amount)
        drain()
        assert provider.amounts("a") == [1, 2, 3]
        assert answers() == ["counter-a"] * 3

    def test_behind_a_failed_call_the_later_ones_of_its_stream_wait(self, provider):
        provider.failing = {"a"}
        count("a", 1)
        drain()
        count("a", 2)
        drain()
        assert provider.amounts("a") == [1]

        provider.failing = set()
        make_due()
        drain()
        assert provider.amounts("a") == [1, 1, 2]

    def test_what_is_taken_in_while_the_one_before_it_is_being_answered_does_not_wait_for_ever(
        self, provider
    ):
        """One worker takes in the second event and sees the first one unsettled; another settles
        the first."""
        provider.slow["a"]
        count("a", 1)
        step.step(SUBSCRIPTION)
        until(lambda: provider.at_once)
        count("a", 2)
        provider.let_go()
        until(lambda: calls.this_process.answered(SUBSCRIPTION))

        taken_in, go_on = threading.Event(), threading.Event()
        other = in_thread(take_in_and_wait, taken_in, go_on)
        assert taken_in.wait(5)
        recorder = in_thread(caller().record, kinds.ANSWERS)
        threading.Timer(0.2, go_on.set).start()
        other.result(5)
        recorder.result(5)

        drain()
        assert provider.amounts("a") == [1, 2]
        assert not Parked.objects.exists()

    def test_what_another_worker_took_in_a_moment_ago_holds_back_what_is_taken_in_now(
        self, provider, monkeypatch, another
    ):
        provider.slow["a"]
        count("a", 1)
        slowly = cursors.CLAIM.replace("NOT paused", "NOT paused AND pg_sleep(0.3) IS NOT NULL")
        with transaction.atomic():
            caller().take_in(10)
            monkeypatch.setattr(cursors, "CLAIM", slowly)
            second = in_thread(take_in)
            sleeping = (
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event ="
                " 'PgSleep'"
            )
            until(lambda: another().execute(sleeping).fetchall())
            in_thread(count, "a", 2).result(5)
        second.result(5)
        first, later = Parked.objects.order_by("position")
        assert first.due_at is not None
        assert later.due_at is None


class TestTheLease:
    def test_one_that_ran_out_is_taken_over_and_the_late_answer_is_not_heard(self, provider):
        provider.slow["a"]
        count()
        step.step(SUBSCRIPTION)
        until(lambda: provider.at_once)
        ours = calls.this_process.callers.pop(SUBSCRIPTION)

        leases_run_out()
        drain_in_another_process(provider)
        assert answers() == ["counter-a"]

        calls.this_process.callers[SUBSCRIPTION] = ours
        drain()
        assert answers() == ["counter-a"]
        assert provider.amounts("a") == [1, 1]
        assert not Parked.objects.exists()

    def test_a_worker_stopped_past_its_lease_is_not_heard_when_it_goes_on(self, toys):
        """A process of its own, stopped by SIGSTOP with the answer in its hands."""
        toys({SUBSCRIPTION: toy.EFFECT})
        count()
        with stopped(SUBSCRIPTION, "effects.calls.Call.ask") as zombie:
            assert Parked.objects.get().status == "leased"
            leases_run_out()
            drain()
            assert answers() == ["counter-a"]
            zombie.send_signal(signal.SIGCONT)
            _, errors = zombie.communicate(timeout=30)
            assert zombie.returncode == 0, errors
        assert answers() == ["counter-a"]
        assert not Parked.objects.exists()

    def test_a_late_failure_does_not_disturb_who_took_it_over(self, provider):
        provider.slow["a"]
        provider.failing = {"a"}
        count()
        step.step(SUBSCRIPTION)
        until(lambda: provider.at_once)
        leases_run_out()
        Parked.objects.update(attempts=2, due_at="2100-01-01T00:00Z")
        provider.let_go()
        until(lambda: calls.this_process.answered(SUBSCRIPTION))
        step.step(SUBSCRIPTION)
        note = Parked.objects.get()
        assert (note.attempts, note.status, note.error) == (2, "leased", "")

    def test_until_then_nobody_else_makes_the_call(self, provider):
        provider.slow["a"]
        count()
        step.step(SUBSCRIPTION)
        calls.this_process.forget()
        assert cursors.work() == set()
        step.step(SUBSCRIPTION)
        assert provider.amounts("a") == [1]

    def test_a_call_whose_turn_comes_after_its_lease_is_not_made(self, toys, provider):
        toys(
            {
                SUBSCRIPTION: Effect(
                    perform={Counted: provider.call},
                    concurrency=1,
                    lease=timedelta(milliseconds=500),
                )
            }
        )
        provider.slow["a"]
        count("a")
        count("b")
        step.step(SUBSCRIPTION)
        until(lambda: provider.at_once)
        threading.Event().wait(0.6)
        provider.let_go()
        until(lambda: len([call for call in caller().calls if call.future.done()]) == 2)
        assert provider.calls["b"] == []

    def test_calls_that_never_come_back_do_not_go_on_for_ever(self, provider, monkeypatch):
        """A message that kills every worker that calls for it must come to rest as a dead
        letter."""
        monkeypatch.setattr(parked, "ATTEMPTS", 3)
        provider.slow["a"]
        count()
        for _ in range(6):
            step.step(SUBSCRIPTION)
            calls.this_process.forget()
            leases_run_out()
        assert len(provider.calls["a"]) <= 3
        assert Parked.objects.get().status == "dead"


class TestSideBySide:
    def test_no_more_calls_than_allowed_are_made_at_once(self, provider):
        for number in range(8):
            count(str(number))
        drain()
        assert len(provider.calls) == 8
        assert provider.most_at_once <= 2

    def test_as_many_calls_as_allowed_are_made_at_once(self, provider):
        for name in "ab":
            provider.slow[name]
            count(name)
        step.step(SUBSCRIPTION)
        until(lambda: provider.at_once == 2)

    def test_the_answers_of_more_than_that_are_not_waited_for(self, provider, monkeypatch):
        """The subscription has its turn again soon, and the others have theirs first."""
        waited = []
        monkeypatch.setattr(calls, "wait", lambda futures, *_: waited.append(len(futures)))
        for name in "abc":
            count(name)
        step.step(SUBSCRIPTION)
        assert waited == []
        until(lambda: len(provider.calls) == 3)
        drain()
        count("d")
        step.step(SUBSCRIPTION)
        assert waited == [1]

    def test_a_slow_call_holds_up_neither_the_other_subscriptions_nor_the_other_calls(
        self, toys, provider
    ):
        toys(
            {
                SUBSCRIPTION: Effect(perform={Counted: provider.call}, concurrency=2),
                "toy.tallies": TALLIES,
                "toy": Commands(),
            }
        )
        provider.slow["a"]
        count("a")
        count("b")
        turn = in_thread(drain)
        until(lambda: Event.objects.filter(type="toy.closed", stream="counter-b"))
        until(lambda: Tally.objects.filter(pk="a"))
        assert not turn.done()
        assert provider.at_once == 1

        provider.let_go()
        turn.result(5)
        assert Event.objects.filter(type="toy.closed", stream="counter-a").exists()

    def test_a_paused_subscription_begins_no_calls(self, provider):
        provider.failing = {"a"}
        count("a")
        drain()
        Subscription.objects.filter(pk=SUBSCRIPTION).update(paused=True)
        count("b")
        make_due()
        drain()
        step.step(SUBSCRIPTION)
        assert provider.amounts("a") == [1]
        assert provider.amounts("b") == []

    def test_a_provider_whose_calls_all_hang_holds_up_no_other_provider(self, toys, provider):
        swift = []
        toys(
            {
                SUBSCRIPTION: Effect(perform={Counted: provider.call}, concurrency=2),
                "toy.other": Effect(
                    perform={
                        Counted: lambda event, key: swift.append(key) or Close(event.counter_id)
                    }
                ),
            }
        )
        for name in "abc":
            provider.slow[name]
            count(name)
        turn = in_thread(drain)
        until(lambda: len(swift) == 3)
        until(lambda: len(answers()) == 3)
        assert not turn.done()
        assert provider.at_once == 2
        provider.let_go()
        turn.result(5)
        assert len(answers()) == 6


class TestNotYet:
    def test_what_the_provider_is_still_at_is_asked_for_again_and_is_never_a_dead_letter(
        self, toys, monkeypatch
    ):
        monkeypatch.setattr(parked, "ATTEMPTS", 2)
        results = [None, None, None, Close("a")]
        performed = []

        def find(event, key):
            return results.pop(0) or still(event, key)

        def perform(event, key):
            performed.append(key)
            still(event, key)

        def still(event, key):
            raise NotYet("the bank takes its time")

        toys({SUBSCRIPTION: Effect(perform={Counted: perform}, find={Counted: find})})
        count("a")
        for _ in range(5):
            drain()
            make_due()
        assert len(performed) == 1
        assert answers() == ["counter-a"]
        assert not Parked.objects.exists()

    def test_meanwhile_it_waits_and_so_does_what_is_behind_it(self, toys):
        def still(event, key):
            raise NotYet("the bank takes its time")

        toys({SUBSCRIPTION: Effect(perform={Counted: still})})
        count("a")
        count("a")
        drain()
        first, behind = Parked.objects.order_by("position")
        assert (first.status, first.error) == ("waiting", "the bank takes its time")
        assert first.due_at is not None
        assert behind.due_at is None


class TestTheCircuit:
    @pytest.fixture
    def failing(self, toys, provider):
        """A provider that answers nobody; the circuit opens at the third, for longer than any test
        takes."""
        toys(
            {
                SUBSCRIPTION: Effect(
                    perform={Counted: provider.call},
                    concurrency=1,
                    trips=3,
                    rest=timedelta(minutes=5),
                )
            }
        )
        provider.failing = set("abcdefgh")
        return provider

    def rested(self):
        """The time of rest is over."""
        caller().circuit.until = 0.0
        make_due()

    def called(self, provider):
        return sum(map(len, provider.calls.values()))

    def test_after_some_failures_in_a_row_no_call_is_made_and_none_is_counted(self, failing):
        for name in "abc":
            count(name)
        drain()
        for name in "defgh":
            count(name)
        drain()
        assert self.called(failing) == 3
        assert set(
            Parked.objects.filter(key__in=["counter-d", "counter-h"]).values_list(
                "attempts", "status"
            )
        ) == {(0, "waiting")}
        assert cursors.work() == set()

    def test_what_had_its_lease_already_is_not_made_either_and_keeps_its_attempts(self, failing):
        for name in "abcdefgh":
            count(name)
        drain()
        assert self.called(failing) == 3
        assert Parked.objects.filter(attempts=0, error="").count() == 5

    def test_one_message_that_always_fails_does_not_open_it(self, failing):
        count("a")
        for _ in range(5):
            drain()
            make_due()
        assert len(failing.calls["a"]) == 5
        count("x")
        drain()
        assert failing.amounts("x") == [1]

    def test_an_answer_between_begins_the_count_anew(self, failing):
        for name in ("a", "b", "x", "c", "d"):
            count(name)
            drain()
        assert self.called(failing) == 5

    def test_an_error_that_is_not_the_providers_silence_does_not_open_it(self, toys, provider):
        def wrong(event, key):
            provider.calls[event.counter_id].append(key)
            raise ValueError("three decimals")

        toys({SUBSCRIPTION: Effect(perform={Counted: wrong}, trips=3)})
        for name in "abcde":
            count(name)
            drain()
        assert self.called(provider) == 5

    def test_once_rested_one_call_goes_on_trial_and_its_failure_gives_another_rest(self, failing):
        for name in "abcdef":
            count(name)
        drain()
        before = self.called(failing)
        self.rested()
        drain()
        assert self.called(failing) == before + 1
        assert caller().circuit.is_resting

    def test_its_answer_lets_all_the_others_go_on(self, failing):
        for name in "abcdef":
            count(name)
        drain()
        failing.failing = set()
        self.rested()
        drain()
        make_due()
        drain()
        assert sorted(answers()) == [f"counter-{name}" for name in "abcdef"]
        assert not Parked.objects.exists()


class Unheard(Said, frozen=True):
    counter_id: str


def toys_aggregate_with(event):
    from tests.eventstore.toy import COUNTER

    return COUNTER._replace(evolve=COUNTER.evolve | {event: lambda counter, event: counter})


def caller():
    """What makes the calls of the subscription in this process."""
    effect = registry.subscriptions()[SUBSCRIPTION]
    return calls.this_process.callers.get(SUBSCRIPTION) or calls.Caller(SUBSCRIPTION, effect)


def take_in():
    with transaction.atomic():
        caller().take_in(10)


def take_in_and_wait(taken_in, go_on):
    with transaction.atomic():
        caller().take_in(10)
        taken_in.set()
        go_on.wait(5)


def drain_in_another_process(provider):
    """As another worker would: without our calls under way, in threads of its own; its provider
    answers at once."""
    calls.this_process.forget()
    slow, provider.slow = provider.slow, defaultdict(threading.Event)
    drain()
    provider.slow = slow
    provider.let_go()
    assert log.fence()
