"""A message that cannot be taken waits beside its subscription, with all that must stay in order
behind it; others go on."""

import random

import pytest
from django.db import OperationalError, connection
from uuid_utils.compat import uuid7

from eventstore import codec, log
from eventstore.delivery import step
from eventstore.log import ANY, WrongExpectedVersion, append
from eventstore.messages import Event
from eventstore.models import Event as Stored
from eventstore.models import Parked, Subscription
from eventstore.outbox import parked
from eventstore.subscriptions import Commands
from eventstore.testing import drain
from tests.eventstore.toy import EVENTS, ROUND, TALLIES, Boom, Close, Closed, Count, Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

SUBSCRIPTION = "toy.tallies"


def count(name="a", amount=1, note=""):
    return append(f"counter-{name}", [Counted(name, amount, note)], expected=ANY).position


def heard():
    return {tally.pk: tally.heard for tally in Tally.objects.all()}


def parked_rows(**wanted):
    return [
        (each.key, each.status) for each in Parked.objects.filter(**wanted).order_by("position")
    ]


def make_due():
    """Time passes: whatever is to be tried again is due now."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE eventstore_parked SET due_at = now() WHERE due_at IS NOT NULL")


def mended(wire, subscriptions=None):
    """The subscription's code is mended and deployed."""
    good = TALLIES._replace(
        evolve=TALLIES.evolve | {Counted: lambda row, event: _without_boom(row, event)}
    )
    wire(SUBSCRIPTIONS={SUBSCRIPTION: good} if subscriptions is None else subscriptions)


def _without_boom(row, event):
    return row | {"total": row["total"] + event.amount, "heard": [*row["heard"], event.amount]}


class TestTheOthers:
    def test_only_the_key_of_a_failing_message_is_parked_rows(self):
        for number in range(20):
            count(str(number), number, note="boom" if number == 7 else "")
        step.step(SUBSCRIPTION)

        assert parked_rows() == [("7", "failed")]
        assert heard() == {str(number): [number] for number in range(20) if number != 7}

    @pytest.mark.parametrize("bad", [{0}, {9}, {3, 4}, {0, 5, 9}, set(range(10))])
    def test_several_culprits_in_one_batch_are_all_found(self, bad):
        for number in range(10):
            count(str(number), note="boom" if number in bad else "")
        step.step(SUBSCRIPTION)

        assert {int(key) for key, _ in parked_rows()} == bad
        assert {int(key) for key in heard()} == set(range(10)) - bad

    def test_another_subscription_of_the_same_event_goes_on(self, toys):
        toys(
            {
                SUBSCRIPTION: TALLIES,
                "toy.round": ROUND._replace(
                    react=ROUND.react | {Counted: lambda state, event: _nod(state)}
                ),
            }
        )
        count("a", note="boom")
        drain()
        assert parked_rows(subscription=SUBSCRIPTION) == [("a", "failed")]
        assert parked_rows(subscription="toy.round") == []

    def test_the_subscriptions_cursor_goes_on_too(self):
        count("a", note="boom")
        last = count("b")
        step.step(SUBSCRIPTION)
        assert Subscription.objects.get(pk=SUBSCRIPTION).position == last


class TestTheOrder:
    def test_what_comes_after_it_in_the_same_batch_waits_behind(self):
        count("a", 1)
        count("a", 2, note="boom")
        count("a", 3)
        count("b", 1)
        step.step(SUBSCRIPTION)

        assert heard() == {"a": [1], "b": [1]}
        assert parked_rows() == [("a", "failed"), ("a", "waiting")]

    def test_what_comes_after_it_in_a_later_batch_waits_behind(self):
        count("a", 1, note="boom")
        drain()
        for amount in (2, 3):
            count("a", amount)
            drain()
        count("b", 1)
        drain()

        assert heard() == {"b": [1]}
        assert parked_rows() == [("a", "failed"), ("a", "waiting"), ("a", "waiting")]

    def test_after_the_retry_all_that_waited_is_taken_in_order(self, wire):
        count("a", 1, note="boom")
        drain()
        for amount in (2, 3, 4):
            count("a", amount)
            drain()
        mended(wire)
        make_due()
        count("a", 5)
        drain()

        assert heard() == {"a": [1, 2, 3, 4, 5]}
        assert parked_rows() == []

    def test_a_second_culprit_among_those_that_wait_stops_the_rest_again(self, wire):
        count("a", 1, note="boom")
        drain()
        count("a", 2)
        count("a", 3, note="bang")
        count("a", 4)
        drain()
        bang = TALLIES._replace(evolve=TALLIES.evolve | {Counted: _bang})
        wire(SUBSCRIPTIONS={SUBSCRIPTION: bang})
        make_due()
        drain()

        assert heard() == {"a": [1, 2]}
        assert parked_rows() == [("a", "failed"), ("a", "waiting")]

    def test_events_of_one_stream_that_go_into_different_rows_do_not_wait_for_one_another_for_ever(
        self, toys, wire
    ):
        """A row is the unit of order of a projection; here one stream feeds a row for each note."""
        by_note = TALLIES._replace(key=lambda event: event.note, evolve={Counted: _unless_first})
        toys({SUBSCRIPTION: by_note})
        append(
            "counter-a",
            [Counted("a", 0, "x"), Counted("a", 1, "y"), Counted("a", 2, "x")],
            expected=0,
        )
        step.step(SUBSCRIPTION)
        count("a", 3, "y")
        drain()
        wire(SUBSCRIPTIONS={SUBSCRIPTION: by_note._replace(evolve={Counted: _without_boom})})
        make_due()
        drain()

        assert parked_rows() == []
        assert heard() == {"x": [0, 2], "y": [1, 3]}

    def test_a_saga_waits_across_the_streams_of_one_process(self, toys, wire):
        """The first stream's event fails, so the second stream's waits: both belong to process
        a."""
        toys({"toy.round": ROUND})
        append("counter-a", [Counted("a", 3, "boom")], expected=0)
        append("counter-elsewhere", [Counted("a", 4)], expected=0)
        append("counter-b", [Counted("b", 5)], expected=0)
        drain()
        assert parked_rows() == [("a", "failed"), ("a", "waiting")]

        wire(SUBSCRIPTIONS={"toy.round": ROUND._replace(react=ROUND.react | {Counted: _sum})})
        make_due()
        drain()
        assert _totals() == {"a": 7, "b": 5}


class TestTheNextTry:
    def test_the_delay_doubles_up_to_a_limit(self, monkeypatch):
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        assert [parked.delay(attempts) for attempts in (1, 2, 3, 4)] == [1, 2, 4, 8]
        assert parked.delay(30) == parked.LONGEST_DELAY

    def test_what_failed_together_comes_back_apart(self):
        delays = {parked.delay(5) for _ in range(50)}
        assert len(delays) > 40
        assert all(8 <= delay <= 16 for delay in delays)

    def test_it_is_not_tried_before_its_time(self):
        count("a", note="boom")
        drain()
        assert drain() == 0
        assert Parked.objects.get().attempts == 1

    def test_each_failed_try_is_counted_and_puts_the_next_one_off_further(self, monkeypatch):
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        count("a", note="boom")
        drain()
        waits = []
        for _ in range(3):
            make_due()
            drain()
            each = Parked.objects.get()
            waits.append(each.due_at)
        assert each.attempts == 4
        assert waits[0] < waits[1] < waits[2]
        assert (waits[2] - waits[1]).total_seconds() > 3

    def test_after_the_last_attempt_it_is_dead_and_what_waits_behind_goes_on_waiting(
        self, monkeypatch
    ):
        monkeypatch.setattr(parked, "ATTEMPTS", 3)
        count("a", 1, note="boom")
        count("a", 2)
        drain()
        for _ in range(5):
            make_due()
            drain()

        dead = Parked.objects.get(status="dead")
        assert (dead.attempts, dead.due_at) == (3, None)
        assert parked_rows() == [("a", "dead"), ("a", "waiting")]
        count("a", 3)
        drain()
        assert heard() == {}
        assert len(parked_rows()) == 3

    def test_the_note_keeps_error_and_traceback_of_the_last_try(self, wire):
        count("a", 7, note="boom")
        drain()
        note = Parked.objects.get()
        assert note.error == "Boom: a: 7"
        assert "toy.py" in note.traceback
        assert "Traceback" in note.traceback

        other = TALLIES._replace(evolve=TALLIES.evolve | {Counted: _divide})
        wire(SUBSCRIPTIONS={SUBSCRIPTION: other})
        make_due()
        drain()
        assert Parked.objects.get().error.startswith("ZeroDivisionError")

    def test_an_error_whose_text_the_database_cannot_hold_is_noted_all_the_same(self, wire):
        nul = TALLIES._replace(evolve=TALLIES.evolve | {Counted: _nul})
        wire(SUBSCRIPTIONS={SUBSCRIPTION: nul})
        count("a")
        drain()
        assert Parked.objects.get().error == "Boom: a\ufffdb?"


class TestErrorsOfTheDatabase:
    @pytest.mark.parametrize(
        ("amount", "note", "error"),
        [
            (-1, "", "IntegrityError"),
            (2**40, "", "DataError"),
            (1, "".join(map(chr, range(300, 12000))), "Operational"),
        ],
        ids=[
            "a check constraint",
            "a number too large for its column",
            "a text too large for its index",
        ],
    )
    def test_a_message_that_the_database_refuses_is_parked_and_the_note_stays(
        self, amount, note, error
    ):
        count("b", 1)
        count("a", amount, note)
        count("c", 3)
        assert step.step(SUBSCRIPTION) == 3

        assert heard() == {"b": [1], "c": [3]}
        assert Parked.objects.get().error.startswith(error)

    def test_so_is_its_next_failure(self):
        count("a", -1)
        drain()
        make_due()
        count("b", 2)
        drain()
        assert Parked.objects.get().attempts == 2
        assert heard() == {"b": [2]}

    @pytest.mark.parametrize(
        "error", [OperationalError("gone"), WrongExpectedVersion("counter-a", 1, 2)]
    )
    def test_what_passes_by_itself_takes_the_whole_step_back_and_parks_nothing(self, wire, error):
        count("b", 1)
        count("a", 1, note="pass")
        wire(
            SUBSCRIPTIONS={
                SUBSCRIPTION: TALLIES._replace(evolve=TALLIES.evolve | {Counted: _raising(error)})
            }
        )

        with pytest.raises(type(error)):
            step.step(SUBSCRIPTION)
        assert parked_rows() == []
        assert heard() == {}
        assert Subscription.objects.get(pk=SUBSCRIPTION).position == 0

    def test_the_same_while_something_is_tried_again(self, wire):
        count("a", 1, note="boom")
        drain()
        make_due()
        wire(
            SUBSCRIPTIONS={
                SUBSCRIPTION: TALLIES._replace(
                    evolve=TALLIES.evolve | {Counted: _raising(OperationalError("gone"))}
                )
            }
        )
        before = Parked.objects.values().get()
        with pytest.raises(OperationalError):
            step.step(SUBSCRIPTION)
        assert Parked.objects.values().get() == before


class TestUnreadable:
    def test_an_event_of_an_unknown_type_is_parked_not_skipped_and_taken_once_its_class_is_deployed(
        self, toys
    ):
        """A newer process writes it while an older one, which does not know it, works on the
        subscription."""
        new = {**EVENTS[0], "toy.doubled": Doubled}
        knowing = TALLIES._replace(evolve=TALLIES.evolve | {Doubled: _doubled})
        aggregate = _counter_with(Doubled)
        toys({SUBSCRIPTION: knowing}, EVENTS=[new], AGGREGATES=[aggregate])
        count("a", 3)
        append("counter-a", [Doubled("a")], expected=1)
        count("a", 1)
        toys({SUBSCRIPTION: TALLIES})
        drain()
        assert heard() == {"a": [3]}
        assert Parked.objects.get(status="failed").error.startswith("UnknownType")

        toys({SUBSCRIPTION: knowing}, EVENTS=[new], AGGREGATES=[aggregate])
        make_due()
        drain()
        assert heard() == {"a": [3, 3, 1]}
        assert parked_rows() == []

    def test_a_subscription_that_does_not_hear_it_passes_over_it_once_its_class_is_deployed(
        self, toys
    ):
        new = {**EVENTS[0], "toy.doubled": Doubled}
        toys({SUBSCRIPTION: TALLIES}, EVENTS=[new], AGGREGATES=[_counter_with(Doubled)])
        append("counter-a", [Doubled("a"), Counted("a", 2)], expected=0)
        toys({SUBSCRIPTION: TALLIES})
        drain()
        toys({SUBSCRIPTION: TALLIES}, EVENTS=[new], AGGREGATES=[_counter_with(Doubled)])
        make_due()
        drain()
        assert heard() == {"a": [2]}
        assert parked_rows() == []

    def test_an_owed_command_of_an_unknown_type_is_parked_and_decided_once_its_class_is_deployed(
        self, toys
    ):
        toys({"toy": Commands()})
        log.write([], [log.outgoing(Close("a"), metadata=log.current_metadata())])
        toys({"toy": Commands()}, COMMANDS=[{"toy.count": Count}])
        drain()
        assert parked_rows() == [("counter-a", "failed")]

        toys({"toy": Commands()})
        make_due()
        drain()
        assert parked_rows() == []
        assert Stored.objects.get().type == "toy.closed"

    def test_data_that_does_not_fit_its_class_is_parked_and_taken_once_the_class_does(self, toys):
        append_raw('{"counter_id": "a", "amount": "three"}')
        count("b", 1)
        drain()
        assert parked_rows() == [("counter-a", "failed")]
        assert Parked.objects.get().error.startswith("Undecodable")
        assert heard() == {"b": [1]}

        toys(
            {SUBSCRIPTION: TALLIES},
            UPCASTERS=[{"toy.counted": {1: lambda data: data | {"amount": 3}}}],
        )
        make_due()
        drain()
        assert heard()["a"] == [3]

    def test_an_upcaster_at_fault_parks_its_message_and_no_other(self, toys):
        append_raw('{"counter_id": "a"}')
        toys(
            {SUBSCRIPTION: TALLIES},
            UPCASTERS=[{"toy.counted": {1: lambda data: data | {"amount": data["quantity"]}}}],
        )
        count("b", 1)
        drain()
        assert parked_rows() == [("counter-a", "failed")]
        assert heard() == {"b": [1]}

    def test_notes_of_a_newer_version_beside_an_event_do_not_matter(self):
        append_raw('{"counter_id": "a"}', notes='{"actor": "ada", "signature": "new"}')
        drain()
        assert heard() == {"a": [1]}
        assert next(log.read_stream("counter-a")).metadata.actor == "ada"

    def test_what_comes_after_an_unreadable_event_in_its_stream_waits(self):
        append_raw('{"counter_id": 5}')
        append("counter-a", [Counted("a", 2)], expected=1)
        drain()
        append("counter-a", [Counted("a", 3)], expected=2)
        drain()
        assert heard() == {}
        assert parked_rows() == [
            ("counter-a", "failed"),
            ("counter-a", "waiting"),
            ("counter-a", "waiting"),
        ]

    def test_an_event_under_a_name_of_the_past_is_heard(self, toys):
        count("a", 4)
        toys(
            {SUBSCRIPTION: TALLIES},
            EVENTS=[{"toy.tallied": Counted, "toy.closed": Closed}],
            RENAMED={"toy.counted": "toy.tallied"},
        )
        drain()
        assert heard() == {"a": [4]}


class TestCommands:
    def test_a_decider_at_fault_parks_its_command_and_those_of_its_stream(self, toys):
        toys({"toy": Commands()})
        outgoing = [Count("a", 1), Count("a", 2, "bug"), Count("a", 3), Count("b", 4)]
        log.write(
            [], [log.outgoing(command, metadata=log.current_metadata()) for command in outgoing]
        )
        drain()

        assert [(each.stream, each.body.amount) for each in log.read_log()] == [
            ("counter-a", 1),
            ("counter-b", 4),
        ]
        assert parked_rows() == [("counter-a", "failed"), ("counter-a", "waiting")]

    def test_a_refused_command_is_settled_not_parked_rows(self, toys):
        toys({"toy": Commands()})
        append("counter-a", [Closed("a")], expected=0)
        log.write([], [log.outgoing(Count("a"), metadata=log.current_metadata())])
        drain()
        assert parked_rows() == []


class Doubled(Event, frozen=True):
    counter_id: str


def _doubled(row, event: Doubled):
    return row | {"total": row["total"] * 2, "heard": [*row["heard"], row["total"]]}


def _counter_with(event):
    from tests.eventstore.toy import COUNTER

    return COUNTER._replace(evolve=COUNTER.evolve | {event: lambda counter, event: counter})


def _unless_first(row, event):
    if event.amount == 0:
        raise Boom("the first")
    return _without_boom(row, event)


def _bang(row, event):
    if event.note == "bang":
        raise Boom("bang")
    return _without_boom(row, event)


def _divide(row, event):
    return 1 / 0


def _nul(row, event):
    raise Boom("a\x00b\ud800")


def _nod(state):
    from eventstore.subscriptions import Reaction

    return Reaction(state)


def _sum(state, event):
    return _nod(type(state)(total=state.total + event.amount))


def _totals():
    from eventstore.models import SagaState

    return {each.key: each.state["total"] for each in SagaState.objects.all()}


def _raising(error):
    def evolve(row, event):
        raise error

    return evolve


def append_raw(data, notes="{}"):
    """What some other code once wrote."""
    event = {
        "stream": "counter-a",
        "version": 1,
        "expected": 0,
        "id": str(uuid7()),
        "type": "toy.counted",
        "schema_version": 1,
        "data": codec.decode_json(data),
        "correlation_id": str(uuid7()),
        "metadata": codec.decode_json(notes),
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT eventstore_append(%s::json, NULL)", [codec.encode_json([event]).decode()]
        )
