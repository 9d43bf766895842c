"""Commands in, events out: on the newest state, all or nothing, and again when another writer was
first."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from eventstore import log, registry
from eventstore.aggregate import VersionedState
from eventstore.commands import bus, decide, repository
from eventstore.commands.bus import DecisionBatch, route
from eventstore.log import ANY, WrongExpectedVersion, append
from eventstore.messages import Command, Message, Metadata
from eventstore.models import Event, OutboxMessage
from eventstore.registry import UnknownCommand
from eventstore.subscriptions import Commands
from eventstore.testing import drain
from tests.eventstore.concurrently import in_thread
from tests.eventstore.toy import COUNTER, Boom, Close, Closed, Count, Counted, CounterClosed, Move

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


def stored(name="a"):
    return [message.body for message in log.read_stream(f"counter-{name}")]


def remembered(name="a"):
    return repository.cache.states.get(f"counter-{name}")


class Rival:
    """Appends to the stream behind the back of whoever has just loaded it, so many times."""

    def __init__(self, monkeypatch, times):
        self.times, self.loads, self.real = times, 0, repository.load
        monkeypatch.setattr(repository, "load", self.load)

    def load(self, streams):
        loaded = self.real(streams)
        self.loads += 1
        if self.loads <= self.times:
            in_thread(lambda: append("counter-a", [Counted("a", 100)], expected=ANY)).result(5)
        return loaded


class TestOneCommand:
    def test_it_is_decided_and_recorded(self):
        outcome = bus.dispatch(Count("a", 3))
        assert outcome.events == [Counted("a", 3)]
        assert (outcome.stream, outcome.version) == ("counter-a", 1)
        assert outcome.position == Event.objects.get().position
        assert stored() == [Counted("a", 3)]

    def test_it_is_decided_on_what_came_before(self):
        bus.dispatch(Count("a"))
        bus.dispatch(Close("a"))
        with pytest.raises(CounterClosed):
            bus.dispatch(Count("a"))

    def test_a_refusal_keeps_nothing(self):
        bus.dispatch(Close("a"))
        with pytest.raises(CounterClosed) as refused:
            bus.dispatch(Count("a"))
        assert refused.value.code == "CounterClosed"
        assert stored() == [Closed("a")]
        assert OutboxMessage.objects.count() == 1

    def test_a_repeat_that_changes_nothing_tells_where_the_stream_stands(self):
        bus.dispatch(Close("a"))
        closed = Event.objects.get().position
        outcome = bus.dispatch(Close("a"))
        assert (outcome.version, outcome.position, outcome.events) == (1, closed, [])

    def test_one_that_nobody_decides_is_a_clear_error(self):
        class Paint(Command, frozen=True):
            counter_id: str

        with pytest.raises((UnknownCommand, registry.UnknownType), match="Paint"):
            bus.dispatch(Paint("a"))

    def test_one_with_a_name_and_no_decider_is_a_clear_error(self, toys):
        toys({}, AGGREGATES=[COUNTER._replace(decide={})], DECISIONS=[])
        with pytest.raises(UnknownCommand, match="Count"):
            bus.dispatch(Count("a"))

    def test_it_costs_one_query_to_load_and_one_to_write_whatever_the_number_of_streams(self):
        with CaptureQueriesContext(connection) as queries:
            bus.dispatch(Move("a", "b", 3))
        assert len([query for query in queries if "eventstore_append" in query["sql"]]) == 1
        assert len(queries) == 2
        assert stored("a") == [Counted("a", -3)]
        assert stored("b") == [Counted("b", 3)]

    def test_what_it_says_is_stored_with_its_origin(self):
        metadata = Metadata(uuid7(), uuid7(), actor="ada")
        bus.dispatch(Count("a"), metadata=metadata)
        kept = next(log.read_stream("counter-a")).metadata
        assert kept == Metadata(
            metadata.correlation_id, metadata.causation_id, actor="ada", command="toy.count"
        )

    def test_what_is_bound_is_its_origin(self):
        bound = Metadata(uuid7(), actor="ada")
        token = log.bound_metadata.set(bound)
        bus.dispatch(Count("a"))
        bus.dispatch(Count("b"))
        log.bound_metadata.reset(token)
        assert len(list(log.read_correlated(bound.correlation_id))) == 2
        assert log.current_metadata() != bound

    def test_commands_of_nobodys_are_business_transactions_of_their_own(self):
        bus.dispatch(Count("a"))
        bus.dispatch(Count("a"))
        assert Event.objects.values("correlation_id").distinct().count() == 2


class TestConflicts:
    def test_it_begins_again_on_the_newer_state(self, monkeypatch):
        Rival(monkeypatch, times=2)
        outcome = bus.dispatch(Count("a", 1))
        assert outcome.version == 3
        assert stored() == [Counted("a", 100), Counted("a", 100), Counted("a", 1)]

    def test_a_bounded_number_of_times(self, monkeypatch):
        rival = Rival(monkeypatch, times=1000)
        with pytest.raises(WrongExpectedVersion):
            bus.dispatch(Count("a", 1))
        assert rival.loads == bus.ATTEMPTS

    def test_the_newer_state_may_refuse_it(self, monkeypatch):
        bus.dispatch(Count("a"))
        loads, real = [], repository.load

        def closing(streams):
            loaded = real(streams)
            if not loads:
                in_thread(lambda: append("counter-a", [Closed("a")], expected=ANY)).result(5)
            loads.append(1)
            return loaded

        monkeypatch.setattr(repository, "load", closing)
        with pytest.raises(CounterClosed):
            bus.dispatch(Count("a"))
        assert len(loads) == 2

    def test_inside_of_somebodys_transaction_it_is_theirs_to_begin_again(self, monkeypatch):
        rival = Rival(monkeypatch, times=1)
        with pytest.raises(WrongExpectedVersion), transaction.atomic():
            bus.dispatch(Count("a", 1))
        assert rival.loads == 1

    def test_many_dispatching_the_same_at_once_lose_nothing(self):
        def some():
            won = 0
            for _ in range(10):
                try:
                    bus.dispatch(Count("a"))
                    won += 1
                except WrongExpectedVersion:
                    pass
            return won

        won = sum(each.result(20) for each in [in_thread(some) for _ in range(4)])
        assert won > 10
        assert len(stored()) == won
        assert repository.load(["counter-a"])["counter-a"].state.total == won


class TestSeveralCommands:
    def test_they_are_decided_in_order_each_on_what_the_one_before_said(self):
        bus.dispatch_all([Count("a", 1), Count("a", 2), Close("a"), Close("a"), Count("b", 3)])
        assert stored("a") == [Counted("a", 1), Counted("a", 2), Closed("a")]
        assert stored("b") == [Counted("b", 3)]

    def test_one_refusal_refuses_all(self):
        with pytest.raises(CounterClosed):
            bus.dispatch_all([Count("a"), Count("b"), Close("a"), Count("a")])
        assert not Event.objects.exists()

    def test_one_fault_keeps_nothing(self):
        with pytest.raises(Boom):
            bus.dispatch_all([Count("a"), Count("b", note="bug")])
        assert not Event.objects.exists()

    def test_a_conflict_begins_all_again(self, monkeypatch):
        Rival(monkeypatch, times=1)
        bus.dispatch_all([Count("b", 1), Count("a", 2)])
        assert stored("b") == [Counted("b", 1)]
        assert stored("a") == [Counted("a", 100), Counted("a", 2)]

    def test_they_are_one_business_transaction(self):
        bus.dispatch_all([Count("a"), Count("b")])
        assert Event.objects.values("correlation_id").distinct().count() == 1

    def test_a_hundred_cost_no_more_statements_than_one(self):
        with CaptureQueriesContext(connection) as queries:
            bus.dispatch_all([Count(str(number % 10)) for number in range(100)])
        assert len(queries) == 2
        assert Event.objects.count() == 100

    def test_several_for_the_same_streams_in_one_batch_carry_one_expectation_each(self):
        bus.dispatch(Count("b", 50))
        batch = DecisionBatch(
            [routed(Move("a", "b", 1)), routed(Count("b", 2)), routed(Move("b", "a", 3))]
        )
        for index in range(3):
            batch.decide(index)
        assert batch.write().versions == {"counter-a": 2, "counter-b": 4}
        assert [event.amount for event in stored("a")] == [-1, 3]
        assert [event.amount for event in stored("b")] == [50, 1, 2, -3]

    def test_one_that_is_refused_amid_a_batch_leaves_no_trace_in_the_state_of_the_others(self):
        bus.dispatch(Close("b"))
        batch = DecisionBatch(
            [routed(Count("a", 1)), routed(Move("a", "b", 5)), routed(Count("a", 2))]
        )
        batch.decide(0)
        with pytest.raises(CounterClosed):
            batch.decide(1)
        batch.decide(2)
        batch.write()
        assert stored("a") == [Counted("a", 1), Counted("a", 2)]
        assert repository.load(["counter-a"])["counter-a"].state.total == 3


class TestOwedCommands:
    def test_they_are_decided_by_their_contexts_subscription(self, toys):
        toys({"toy": Commands()})
        bus.enqueue([Count("a", 1), Count("a", 2), Count("b", 3)])
        assert not Event.objects.exists()
        drain()
        assert stored("a") == [Counted("a", 1), Counted("a", 2)]

    def test_a_conflict_takes_the_batch_back_and_decides_it_on_the_newer_state(
        self, toys, monkeypatch
    ):
        toys({"toy": Commands()})
        Rival(monkeypatch, times=1)
        bus.enqueue([Count("b", 1), Count("a", 2)])
        drain()
        assert stored("a") == [Counted("a", 100), Counted("a", 2)]
        assert stored("b") == [Counted("b", 1)]

    def test_a_subscription_decides_a_refused_one_and_the_rest_of_its_batch(self, toys):
        bus.dispatch(Close("b"))
        messages = [
            message("a", Count("a", 1)),
            message("b", Count("b", 1)),
            message("c", Count("c", 1)),
        ]
        decide.decide(messages)
        assert stored("a") == [Counted("a", 1)]
        assert stored("b") == [Closed("b")]
        assert stored("c") == [Counted("c", 1)]


class TestWhatIsRemembered:
    def test_a_committed_state_is_remembered_and_only_newer_events_are_read(self):
        bus.dispatch(Count("a", 1))
        assert remembered().version == 1
        assert remembered().state.total == 1

    def test_what_somebody_else_appended_is_added(self):
        bus.dispatch(Count("a", 1))
        in_thread(
            lambda: append("counter-a", [Counted("a", 5), Counted("a", 6)], expected=1)
        ).result(5)
        outcome = bus.dispatch(Count("a", 1))
        assert outcome.version == 4
        assert (remembered().version, remembered().state.total) == (4, 13)

    def test_what_is_rolled_back_is_not_remembered(self):
        bus.dispatch(Count("a", 1))
        with transaction.atomic():
            bus.dispatch(Count("a", 5))
            assert remembered().state.total == 1
            transaction.set_rollback(True)
        assert remembered().state.total == 1
        assert bus.dispatch(Count("a", 1)).version == 2

    def test_nor_what_a_savepoint_rolls_back(self):
        with transaction.atomic():
            with transaction.atomic():
                bus.dispatch(Count("a", 5))
                transaction.set_rollback(True)
            bus.dispatch(Count("a", 1))
        assert (remembered().version, remembered().state.total) == (1, 1)

    def test_within_a_transaction_its_own_events_count(self):
        with transaction.atomic():
            bus.dispatch(Count("a", 1))
            bus.dispatch(Close("a"))
            with pytest.raises(CounterClosed):
                bus.dispatch(Count("a", 1))

    def test_after_a_conflict_that_was_lost_for_good_it_is_right_again(self, monkeypatch):
        bus.dispatch(Count("a", 1))
        with monkeypatch.context() as patch:
            Rival(patch, times=1000)
            with pytest.raises(WrongExpectedVersion):
                bus.dispatch(Count("a", 1))
        outcome = bus.dispatch(Count("a", 1))
        assert outcome.version == len(stored()) == 2 + bus.ATTEMPTS
        assert remembered().state.total == 2 + 100 * bus.ATTEMPTS

    def test_a_memory_that_is_ahead_of_the_log_heals(self):
        """The database came back from an older backup, or a test emptied it."""
        cached = repository.cache.states
        cached["counter-a"] = cached.get("counter-a") or VersionedState(7, COUNTER.initial)
        assert bus.dispatch(Count("a", 1)).version == 1

    def test_it_is_bounded_and_who_was_used_last_stays(self, monkeypatch):
        monkeypatch.setattr(repository, "REMEMBERED", 3)
        for name in ("a", "b", "a", "c", "a", "d"):
            bus.dispatch(Count(name))
        assert len(repository.cache.states) == 3
        assert remembered("a").version == 3

    def test_it_is_equal_to_the_fold_of_the_log(self):
        for number in range(30):
            bus.dispatch(Count("abc"[number % 3], number))
        for name in "abc":
            assert remembered(name).state == COUNTER.fold(stored(name))


def routed(command):
    return route(command, log.current_metadata())


def message(key, command):
    return Message(
        1,
        uuid7(),
        f"counter-{key}",
        0,
        registry.name_of_class(type(command)),
        command,
        log.current_metadata(),
        None,
    )
