"""What a decision only read is as it was when its events are recorded; of two that rest on one
another, one fails."""

from contextlib import suppress
from threading import Barrier

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from eventstore import log
from eventstore.aggregate import CommandRejected, Decision
from eventstore.commands import bus, decide, repository
from eventstore.log import ANY, NO_STREAM, WrongExpectedVersion, append
from eventstore.messages import Command, Message, Metadata
from eventstore.models import Event
from eventstore.testing import drain
from tests.eventstore import toy
from tests.eventstore.concurrently import in_thread, until_waiting
from tests.eventstore.toy import Count, Counted, Move

pytestmark = [pytest.mark.django_db(transaction=True)]


class CountUnless(Command, frozen=True):
    """Counts one counter, if another one is still at nothing."""

    counter_id: str
    other: str


class OtherIsCounted(CommandRejected):
    """The other one was counted already."""


def both(command):
    return [toy.counter(command.counter_id), toy.counter(command.other)]


def count_unless(known, command):
    if known[toy.counter(command.other)].total:
        raise OtherIsCounted(command.other)
    return {toy.counter(command.counter_id): [Counted(command.counter_id)]}


COMMANDS = [{"toy.count_unless": CountUnless}, *toy.COMMANDS]


@pytest.fixture
def checked(toys):
    toys(COMMANDS=COMMANDS, DECISIONS=[{CountUnless: Decision(both, count_unless)}, *toy.DECISIONS])


@pytest.fixture
def unchecked(toys):
    decision = Decision(both, count_unless, unchecked="whoever comes second is sorted out by hand")
    toys(COMMANDS=COMMANDS, DECISIONS=[{CountUnless: decision}, *toy.DECISIONS])


TIMES = 150


def both_ways(decide):
    """Twice at one moment, each on the premise of the other's stream; how often both came
    through."""
    gate = Barrier(2)

    def run(own, other):
        for number in range(TIMES):
            gate.wait(10)
            with suppress(OtherIsCounted, WrongExpectedVersion):
                decide(f"{own}{number}", f"{other}{number}")

    for each in [in_thread(run, "a", "b"), in_thread(run, "b", "a")]:
        each.result(60)
    streams = set(Event.objects.values_list("stream", flat=True))
    through = [
        {toy.counter(f"a{number}"), toy.counter(f"b{number}")} & streams for number in range(TIMES)
    ]
    assert all(through)
    return sum(len(each) == 2 for each in through)


def by_dispatch(own, other):
    bus.dispatch(CountUnless(own, other))


def by_a_batch(own, other):
    """As a worker decides what is owed to its context, with something else beside it."""
    with transaction.atomic():
        decide.decide([message(Count(f"{own}-beside")), message(CountUnless(own, other))])


def by_hand(own, other):
    events = log.new_events(
        toy.counter(own), [Counted(own)], expected=NO_STREAM, metadata=log.current_metadata()
    )
    log.write(events, condition=log.AppendCondition(None, {toy.counter(other): 0}))


def at_any_version(own, other):
    events = log.new_events(
        toy.counter(own), [Counted(own)], expected=ANY, metadata=log.current_metadata()
    )
    log.write(events, condition=log.AppendCondition(None, {toy.counter(other): 0}))


def under_a_key(own, other):
    events = log.new_events(
        toy.counter(own), [Counted(own)], expected=NO_STREAM, metadata=log.current_metadata()
    )
    answer = (
        f'{{"scope": "{uuid7()}", "fingerprint": "", "status": 202, "headers": {{}}, "body":'
        ' "{}"}'
    )
    log.write_once(answer, events, condition=log.AppendCondition(None, {toy.counter(other): 0}))


def message(command):
    stream = toy.counter(command.counter_id)
    return Message(0, uuid7(), stream, 0, "toy.count", command, Metadata(uuid7()), None)


@pytest.mark.parametrize("decide", [by_dispatch, by_a_batch, by_hand, at_any_version, under_a_key])
def test_of_two_that_rest_on_one_another_only_one_comes_through(checked, decide):
    assert both_ways(decide) == 0


def test_where_a_reason_is_given_both_may(unchecked, another):
    """The decision says so in its table; nothing is locked then, and nothing compared."""
    with transaction.atomic():
        bus.dispatch(CountUnless("a", "b"))
        in_thread(bus.dispatch, CountUnless("b", "a")).result(5)
    assert Event.objects.count() == 2


def test_a_premise_that_has_gone_is_decided_again(checked, another):
    """By the time of the append somebody else has counted the other one."""
    append("counter-a", [Counted("a")], expected=NO_STREAM)
    other = another()
    other.execute("BEGIN")
    other.execute("SELECT eventstore_lock_condition('{\"counter-b\": null}')")
    late = in_thread(bus.dispatch, CountUnless("a", "b"))
    until_waiting(another())
    append("counter-b", [Counted("b")], expected=NO_STREAM)
    other.execute("COMMIT")
    with pytest.raises(OtherIsCounted):
        late.result(5)
    assert Event.objects.count() == 2


def test_it_costs_no_statement(checked):
    with CaptureQueriesContext(connection) as queries:
        bus.dispatch(CountUnless("a", "b"))
    assert len([query for query in queries if "eventstore_append" in query["sql"]]) == 1
    assert len(queries) == 2  # what is new in the streams, and the append


def test_who_only_reads_a_stream_shares_it(checked):
    """As orders do a product of the catalogue."""
    with transaction.atomic():
        bus.dispatch(CountUnless("a", "hot"))
        in_thread(bus.dispatch, CountUnless("b", "hot")).result(5)
    assert Event.objects.count() == 2


def test_who_rests_on_nothing_else_waits_for_nobody(checked):
    with transaction.atomic():
        bus.dispatch(CountUnless("a", "hot"))
        in_thread(bus.dispatch, Count("hot")).result(5)
    assert Event.objects.count() == 2


def test_what_the_decision_wrote_itself_is_no_premise(checked):
    bus.dispatch(Move("a", "b", 1))
    bus.dispatch_all([CountUnless("c", "d"), Count("d"), Move("d", "c", 1)])
    assert repository.load_one("counter-d").version == 2


def test_many_in_one_transaction_do_not_fill_the_servers_table_of_locks(checked, another):
    other = another()
    with transaction.atomic():
        for number in range(1000):
            bus.dispatch(CountUnless(f"a{number}", f"b{number}"))
        assert locks() < 600
        assert other.execute("SELECT pg_try_advisory_lock(1)").fetchone()[0]


def test_nor_does_a_large_batch(checked):
    with transaction.atomic():
        decide.decide([message(CountUnless(f"a{number}", f"b{number}")) for number in range(1000)])
        assert locks() < 10


def test_a_large_batch_and_a_single_one_see_each_other(checked, another):
    """The one has locked by category, the other by stream."""
    with transaction.atomic():
        decide.decide([message(CountUnless(f"a{number}", f"b{number}")) for number in range(300)])
        late = in_thread(bus.dispatch, CountUnless("b5", "a5"))
        until_waiting(another())
    with pytest.raises(OtherIsCounted):
        late.result(5)


def test_a_savepoint_that_is_taken_back_gives_its_locks_back(checked):
    with transaction.atomic():
        for number in range(200):
            with transaction.atomic():
                bus.dispatch(CountUnless(f"a{number}", f"b{number}"))
                transaction.set_rollback(True)
        repository.forget()
        bus.dispatch(CountUnless("a", "b"))
        assert locks() <= 4


def test_owed_commands_are_decided_so_by_their_subscription(checked):
    bus.enqueue([CountUnless("a", "b"), CountUnless("b", "a")])
    drain()
    assert Event.objects.count() == 1


def locks():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        return cursor.fetchone()[0]
