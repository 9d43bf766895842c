"""A saga folds its state, owes its commands and hears what became of them; each in the commit of
the other."""

import math

import pytest
from django.db import connection

from eventstore import log, sagas
from eventstore.commands import decide
from eventstore.delivery import step
from eventstore.log import ANY, append
from eventstore.messages import DeadlinePassed, Metadata, State, replace
from eventstore.models import Event, OutboxMessage, Parked, SagaState, Subscription
from eventstore.subscriptions import Commands, Reaction
from eventstore.testing import drain
from tests.eventstore.toy import EVENTS, ROUND, Close, Closed, Counted, Round

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rounds")]

SUBSCRIPTION = "toy.round"


@pytest.fixture
def rounds(toys):
    toys({"toy": Commands(), SUBSCRIPTION: ROUND})


def count(name="a", amount=1, note=""):
    return append(f"counter-{name}", [Counted(name, amount, note)], expected=ANY).position


def saga(name="a"):
    return SagaState.objects.get(saga=SUBSCRIPTION, key=name)


def outgoing(type_):
    return OutboxMessage.objects.filter(type=type_)


def the_deadline_passes():
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE eventstore_saga SET deadline_at = now() - interval '1 s' WHERE deadline_at IS"
            " NOT NULL"
        )


def busy():
    """Commands have to wait for their context."""
    Subscription.objects.filter(pk="toy").update(paused=True)


class TestTheState:
    def test_it_is_folded_over_batches_and_within_one(self):
        count(amount=2)
        drain()
        count(amount=3)
        count(amount=4)
        drain()
        assert saga().state == {"status": "OPEN", "total": 9, "trouble": ""}

    def test_every_process_has_its_own(self):
        count("a", 1)
        count("b", 2)
        count("a", 3)
        drain()
        assert (saga("a").state["total"], saga("b").state["total"]) == (4, 2)

    def test_it_says_where_it_stands(self):
        last = count()
        drain()
        assert (saga().status, saga().position, saga().deadline_at) == ("OPEN", last, None)
        assert saga().correlation_id == Event.objects.get().correlation_id

    def test_state_command_and_cursor_are_of_one_commit(self, monkeypatch):
        last = count(amount=10)
        monkeypatch.setattr(log, "write", _fail)
        with pytest.raises(RuntimeError):
            sagas_step_without_parking()
        assert not SagaState.objects.exists()
        assert Subscription.objects.get(pk=SUBSCRIPTION).position < last

        monkeypatch.undo()
        busy()
        step.step(SUBSCRIPTION)
        assert saga().status == "FULL"
        assert outgoing("toy.close").count() == 1

    def test_a_state_that_cannot_be_read_any_more_parks_what_comes_for_it_only(self):
        count("a")
        drain()
        SagaState.objects.update(state={"total": "many"})
        count("a")
        count("b")
        drain()
        assert Parked.objects.get().key == "a"
        assert saga("b").state["total"] == 1


class TestNewCode:
    """Processes run for days; code is deployed in between."""

    @pytest.fixture
    def deployed(self, toys):
        """A second version: an OPEN round is COUNTING now, its total is called sum, and it knows a
        limit."""
        return lambda: toys({"toy": Commands(), SUBSCRIPTION: SECOND_ROUND})

    def test_a_process_that_began_under_the_old_code_ends_under_the_new(self, deployed):
        count(amount=4)
        drain()
        assert (saga().status, saga().schema_version) == ("OPEN", 1)

        deployed()
        count(amount=5)
        drain()
        assert saga().state == {"status": "COUNTING", "sum": 9, "limit": 10}
        assert (saga().status, saga().schema_version) == ("COUNTING", 2)
        count(amount=1)
        drain()
        assert saga().status == "CLOSED"
        assert Event.objects.filter(type="toy.closed").count() == 1

    def test_its_deadline_is_kept_and_heard_by_the_new_code(self, deployed):
        count(note="wait")
        drain()
        deployed()
        the_deadline_passes()
        drain()
        assert saga().state["status"] == "CLOSED"
        assert not Parked.objects.exists()

    def test_a_field_with_a_default_needs_no_new_version(self, toys):
        count(amount=4)
        drain()
        toys(
            {
                "toy": Commands(),
                SUBSCRIPTION: ROUND._replace(
                    initial=RoundWithLimit(), react={Counted: within_limit}
                ),
            }
        )
        count(amount=1)
        drain()
        assert saga().state == {"status": "OPEN", "total": 5, "trouble": "", "limit": 10}

    def test_a_field_that_was_renamed_without_an_upcaster_keeps_its_value(self, toys, deployed):
        count(amount=4)
        drain()
        toys({"toy": Commands(), SUBSCRIPTION: SECOND_ROUND._replace(upcasters={})})
        count(amount=1)
        count("b")
        drain()
        assert Parked.objects.get().error.startswith(
            "Undecodable: The stored state has total, trouble, which SecondRound does not have."
        )
        assert saga().state["total"] == 4
        assert saga("b").state["sum"] == 1

        deployed()
        due_again()
        drain()
        assert saga().state["sum"] == 5

    def test_a_number_that_json_cannot_represent_is_not_stored_as_null(self, toys):
        def fold(state: Mean, event: Counted) -> Reaction:
            return Reaction(Mean(mean=math.inf))

        toys({SUBSCRIPTION: ROUND._replace(initial=Mean(), react={Counted: fold})})
        count()
        drain()
        assert Parked.objects.get().error.startswith("Unstorable: Mean has inf")
        assert not SagaState.objects.exists()

    def test_code_that_was_rolled_back_leaves_newer_processes_to_newer_code(self, deployed, toys):
        deployed()
        count(amount=4)
        drain()
        toys({"toy": Commands(), SUBSCRIPTION: ROUND})
        count(amount=1)
        count("b")
        drain()
        assert saga("b").state["total"] == 1
        assert Parked.objects.get().error.startswith("NewerState: The state has schema version 2")

        deployed()
        due_again()
        drain()
        assert saga().state["sum"] == 5
        assert not Parked.objects.exists()

    def test_an_upcaster_at_fault_parks_what_comes_for_old_processes_until_it_is_mended(
        self, toys, deployed
    ):
        count(amount=4)
        drain()
        toys(
            {
                SUBSCRIPTION: SECOND_ROUND._replace(
                    upcasters={1: lambda state: {"sum": state["count"]}}
                )
            }
        )
        count(amount=1)
        count("b")
        drain()
        assert Parked.objects.get().error.startswith("Undecodable: The upcaster of SecondRound")
        assert saga("b").state["sum"] == 1

        deployed()
        due_again()
        drain()
        assert saga().state["sum"] == 5


class TestItsCommands:
    def test_they_are_owed_and_decided_and_their_event_comes_back(self):
        count(amount=10)
        drain()
        assert [type(message.body) for message in log.read_stream("counter-a")] == [Counted, Closed]
        assert saga().status == "CLOSED"

    def test_commands_of_several_processes_are_owed_in_the_order_of_their_events(self):
        for name in "xyz":
            count(name, 10)
        busy()
        step.step(SUBSCRIPTION)
        assert list(outgoing("toy.close").order_by("position").values_list("key", flat=True)) == [
            "counter-x", "counter-y", "counter-z",
        ]  # fmt: skip

    def test_they_say_what_led_to_them_and_who_waits_for_an_answer(self):
        count(amount=10)
        busy()
        step.step(SUBSCRIPTION)
        event, metadata = Event.objects.get(), outgoing("toy.close").get().metadata
        assert metadata["correlation_id"] == str(event.correlation_id)
        assert metadata["causation_id"] == str(event.id)
        assert (metadata["reply_to"], metadata["reply_key"], metadata["actor"]) == (
            SUBSCRIPTION,
            "a",
            SUBSCRIPTION,
        )

    def test_a_refused_command_comes_back_to_the_saga_that_owed_it(self, toys):
        count(note="echo")
        append("counter-a", [Closed("a")], expected=1)
        drain()
        assert saga().status == "REFUSED"
        assert saga().state["trouble"] == "toy.count CounterClosed a"
        assert outgoing("eventstore.command_refused").get().topic == SUBSCRIPTION

    def test_a_command_that_nobody_waits_for_is_refused_in_silence(self):
        append("counter-a", [Closed("a")], expected=0)
        log.write([], [log.outgoing(_count("a"), metadata=log.current_metadata())])
        drain()
        assert not outgoing("eventstore.command_refused").exists()

    def test_the_event_of_an_owed_command_does_not_ask_for_an_answer(self):
        count(amount=10)
        drain()
        assert "reply_to" not in Event.objects.get(type="toy.closed").metadata


class TestDeadlines:
    def test_before_it_has_passed_nothing_is_told(self):
        count(note="wait")
        drain()
        assert 55 < (saga().deadline_at - saga().updated_at).total_seconds() < 65
        assert step.tell_deadlines() == 0
        assert saga().status == "OPEN"

    def test_after_it_has_passed_it_is_told_once(self):
        count(note="wait")
        drain()
        the_deadline_passes()
        drain()

        assert outgoing("eventstore.deadline_passed").count() == 1
        assert [type(message.body) for message in log.read_stream("counter-a")] == [Counted, Closed]
        assert saga().deadline_at is None

    def test_it_is_of_the_same_business_transaction(self):
        count(note="wait")
        drain()
        the_deadline_passes()
        drain()
        assert Event.objects.values("correlation_id").distinct().count() == 1

    def test_it_is_told_by_the_databases_clock_also_when_no_subscription_has_work(self):
        count(note="wait")
        drain()
        the_deadline_passes()
        assert drain() > 0

    def test_a_later_reaction_takes_it_away(self):
        count(note="wait")
        count(amount=2)
        drain()
        assert saga().deadline_at is None

    def test_a_later_reaction_puts_it_off(self):
        count(note="wait")
        drain()
        first = saga().deadline_at
        count(note="wait")
        drain()
        assert saga().deadline_at > first

    def test_a_reaction_that_changes_nothing_leaves_it(self):
        """A repeat, or an answer out of its turn, must not make a process wait for ever."""
        count(note="wait")
        count(amount=0)
        drain()
        assert saga().deadline_at is not None
        before = saga().deadline_at
        count(amount=0)
        drain()
        assert saga().deadline_at == before

    def test_one_that_passed_while_the_answer_was_on_its_way_is_not_heard_by_the_next_step(self):
        """The deadline of the first step lies in the outbox already when the second step begins,
        with its own."""
        count(note="wait")
        step.step(SUBSCRIPTION)
        the_deadline_passes()
        count(amount=2, note="wait")
        assert step.tell_deadlines() == 1
        drain()
        assert saga().status == "OPEN"
        assert saga().deadline_at is not None

        the_deadline_passes()
        drain()
        assert Event.objects.filter(type="toy.closed").exists()

    def test_two_workers_tell_it_once(self, another):
        count(note="wait")
        drain()
        the_deadline_passes()
        from tests.eventstore.concurrently import in_thread

        results = [in_thread(step.tell_deadlines) for _ in range(4)]
        assert sum(each.result(5) for each in results) == 1

    def test_a_worker_that_is_never_idle_tells_them_all_the_same(self, monkeypatch):
        from eventstore.delivery import worker

        count(note="wait")
        drain()
        the_deadline_passes()
        busy = iter(range(10**9))
        monkeypatch.setattr(worker.Worker, "deliver_ready", lambda *_: next(busy))
        monkeypatch.setattr(worker.cursors, "look", lambda: {SUBSCRIPTION})
        worker.work(seconds=0.02)
        assert outgoing("eventstore.deadline_passed").count() == 1


class TestSeveralSubscriptions:
    def test_two_sagas_of_one_event_have_states_of_their_own(self, toys):
        toys({"toy": Commands(), SUBSCRIPTION: ROUND, "toy.other": ROUND})
        count(amount=3)
        drain()
        assert SagaState.objects.count() == 2

    def test_word_for_one_saga_is_not_heard_by_another(self, toys):
        toys({SUBSCRIPTION: ROUND, "toy.other": ROUND}, EVENTS=EVENTS)
        count(note="wait")
        drain()
        SagaState.objects.filter(saga="toy.other").update(deadline_at=None)
        the_deadline_passes()
        drain()
        assert {each.saga: each.status for each in SagaState.objects.all()} == {
            SUBSCRIPTION: "LATE",
            "toy.other": "OPEN",
        }


class RoundWithLimit(Round, frozen=True):
    limit: int = 10


def within_limit(state: RoundWithLimit, event: Counted) -> Reaction:
    return Reaction(replace(state, total=min(state.total + event.amount, state.limit)))


class Mean(State, frozen=True):
    status: str = "COUNTING"
    mean: float = 0.0


class SecondRound(State, frozen=True):
    status: str = "COUNTING"
    sum: int = 0
    limit: int = 10


def add(state: SecondRound, event: Counted) -> Reaction:
    assert state.status in ("COUNTING", "CLOSED")
    state = replace(state, sum=state.sum + event.amount)
    return Reaction(state, [Close(event.counter_id)] if state.sum >= state.limit else [])


def second_closed(state: SecondRound, event: Closed) -> Reaction:
    return Reaction(replace(state, status="CLOSED"))


def second_late(state: SecondRound, event: DeadlinePassed) -> Reaction:
    return Reaction(state, [Close(event.key)])


def from_first(state):
    return {
        "status": "COUNTING" if state["status"] == "OPEN" else state["status"],
        "sum": state["total"],
    }


SECOND_ROUND = ROUND._replace(
    initial=SecondRound(),
    react={Counted: add, Closed: second_closed, DeadlinePassed: second_late},
    upcasters={1: from_first},
)


def due_again():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE eventstore_parked SET due_at = now() WHERE due_at IS NOT NULL")


def _fail(*args, **kwargs):
    raise RuntimeError("killed")


def _count(name):
    from tests.eventstore.toy import Count

    return Count(name)


def sagas_step_without_parking():
    from django.db import transaction

    from eventstore import registry
    from eventstore.outbox import cursors

    with transaction.atomic():
        claimed = cursors.claim(SUBSCRIPTION)
        messages = cursors.read(SUBSCRIPTION, claimed, 10)
        saga = registry.subscriptions()[SUBSCRIPTION]
        decide.send(sagas.react(SUBSCRIPTION, saga, messages))
        cursors.move(SUBSCRIPTION, claimed.fence)


def test_metadata_of_a_deadline_has_no_cause():
    count(note="wait")
    drain()
    the_deadline_passes()
    step.tell_deadlines()
    metadata = outgoing("eventstore.deadline_passed").get().metadata
    assert Metadata(saga().correlation_id, actor="deadline") == Metadata(
        saga().correlation_id, actor=metadata["actor"]
    )
    assert "causation_id" not in metadata
