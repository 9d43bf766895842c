"""What a function of the wiring returns is checked before anything is written, and the error names
the function."""

from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from django.db import transaction

from eventstore import log
from eventstore.aggregate import Decision
from eventstore.commands import bus
from eventstore.effects import calls
from eventstore.messages import Event, IntegrationEvent
from eventstore.messaging import publisher
from eventstore.messaging.consumers import deliver, incoming
from eventstore.models import Parked, SagaState
from eventstore.results import InvalidResult
from eventstore.subscriptions import Commands, Consumer, Effect, Publication, Reaction
from eventstore.testing import InTransaction, decided, drain, given, react
from tests.eventstore.toy import (
    COUNTER,
    EVENTS,
    ROUND,
    TALLIES,
    Close,
    Closed,
    Count,
    Counted,
    Counter,
    Move,
    Round,
    Tally,
    counter,
)

pytestmark = pytest.mark.django_db(transaction=True)

ONE = Counted("a")


class Unheard(Event, frozen=True):
    counter_id: str


class Total(IntegrationEvent, frozen=True):
    counter_id: str


def generated(counter, command):
    yield ONE


def wrong(found):
    """A function that returns this, with a name."""

    def at_fault(*_):
        return found

    return at_fault


@pytest.mark.parametrize(
    "function",
    [
        *map(wrong, (None, ONE, Counted, {}, "events", [ONE, None], [Count("a")], [Counted])),
        generated,
        partial(wrong(None)),
    ],
)
def test_a_decider_that_returns_no_list_of_events_appends_nothing(toys, function):
    toys(AGGREGATES=[COUNTER._replace(decide=COUNTER.decide | {Count: function})])
    with pytest.raises(InvalidResult, match="(at_fault|generated) returned .*list of events"):
        bus.dispatch(Count("a"))
    assert list(log.read_log()) == []


def test_a_tuple_of_events_is_right(toys):
    toys(AGGREGATES=[COUNTER._replace(decide=COUNTER.decide | {Count: wrong((ONE, ONE))})])
    assert bus.dispatch(Count("a")).version == 2


@pytest.mark.parametrize("found", [None, ONE, 5, Counter])
def test_a_fold_that_returns_no_state_appends_nothing(toys, found):
    toys(AGGREGATES=[COUNTER._replace(evolve=COUNTER.evolve | {Counted: wrong(found)})])
    with pytest.raises(InvalidResult, match="at_fault returned .*Return the state"):
        bus.dispatch(Count("a"))
    assert list(log.read_log()) == []


def test_an_event_that_the_aggregate_cannot_fold_is_not_appended(toys):
    aggregate = COUNTER._replace(decide=COUNTER.decide | {Count: wrong([Unheard("a")])})
    toys(AGGREGATES=[aggregate], EVENTS=[EVENTS[0] | {"toy.unheard": Unheard}])
    with pytest.raises(InvalidResult, match="Unheard is not an event of 'counter'"):
        bus.dispatch(Count("a"))
    assert list(log.read_log()) == []


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "Return a dict"),
        ([ONE], "Return a dict"),
        ({counter("a"): ONE}, "Return a list of events"),
        ({counter("c"): [ONE]}, "'counter-c', which its `streams` does not name"),
    ],
)
def test_a_decision_over_streams_that_returns_something_else_appends_nothing(toys, found, text):
    decision = Decision(lambda command: [counter("a"), counter("b")], wrong(found))
    toys(DECISIONS=[{Move: decision}])
    with pytest.raises(InvalidResult, match=f"at_fault returned .*{text}"):
        bus.dispatch(Move("a", "b", 1))
    with pytest.raises(InvalidResult):
        decided({}, Move("a", "b", 1))
    assert list(log.read_log()) == []


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "Return Reaction"),
        (Round(), "Return Reaction"),
        (Reaction(None), "has to be a Round"),
        (Reaction(Counter()), "has to be a Round"),
        (Reaction(Round(), deadline=20), "deadline 20. Use a datetime.timedelta"),
        (Reaction(Round(), Close("a")), "Return a list of commands"),
        (Reaction(Round(), [ONE]), "Return a list of commands"),
    ],
)
def test_a_saga_that_returns_no_reaction_writes_nothing_and_is_named(toys, found, text):
    saga = ROUND._replace(react={Counted: wrong(found)})
    toys({"toy": Commands(), "toy.round": saga})
    bus.dispatch(Count("a"))
    drain()
    assert text in Parked.objects.get().error
    assert "at_fault" in Parked.objects.get().error
    assert not SagaState.objects.exists()
    with pytest.raises(InvalidResult, match=text):
        react(saga, ONE)


@pytest.mark.parametrize("found", [Reaction(Round(), deadline=timedelta(0)), Reaction(Round(), ())])
def test_a_reaction_is_right(found):
    assert react(ROUND._replace(react=ROUND.react | {Counted: wrong(found)}), ONE) == found


@pytest.mark.parametrize("found", [None, ONE, [Close("a")], Close])
def test_an_effect_that_returns_no_command_is_named(toys, found):
    toys({"toy": Commands(), "toy.effect": Effect(perform={Counted: wrong(found)})})
    bus.dispatch(Count("a"))
    drain()
    assert "at_fault returned" in Parked.objects.get().error


def test_a_lookup_of_an_effect_that_returns_no_command_is_named(toys):
    effect = Effect(perform={Counted: wrong(None)}, find={Counted: wrong([Close("a")])})
    toys({"toy": Commands(), "toy.effect": effect})
    bus.dispatch(Count("a"))
    call = SimpleNamespace(effect=effect, message=next(log.read_log()), again=True)
    with pytest.raises(InvalidResult, match="or None"):
        calls.Call.ask(call)


@pytest.mark.parametrize("found", [None, Total("a"), [ONE]])
def test_a_publication_that_returns_no_integration_events_is_named(toys, found):
    toys()
    bus.dispatch(Count("a"))
    translator = publisher.Translator(Publication({Counted: wrong(found)}))
    with pytest.raises(InvalidResult, match="at_fault returned .*integration events"):
        translator.envelopes_again(next(log.read_log()))


@pytest.mark.parametrize("found", [Close("a"), [ONE], "close"])
def test_a_consumers_handler_that_returns_no_commands_is_named(monkeypatch, found):
    envelope = SimpleNamespace(id=None, correlation_id=None, trace="")
    monkeypatch.setattr(incoming, "type_of", lambda body: "toy.it")
    monkeypatch.setattr(incoming, "envelope", lambda message, contract: envelope)
    consumer = Consumer("kafka", ["events"], {"toy.*": wrong(found)})
    with pytest.raises(InvalidResult, match="at_fault returned .*commands"):
        deliver.deliver("toy.consumer", consumer, [SimpleNamespace(body=None)])


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (wrong(None), "fold returned None. Return the row"),
        (wrong([]), "Return the row"),
        (lambda row, event: row | {"totl": 1}, "adds totl"),
        (lambda row, event: {"total": 1}, "lacks counter_id, heard, note"),
        (lambda row, event: row.update(total=1), "mappingproxy"),
        (lambda row, event: row.__setitem__("total", 1), "mappingproxy"),
    ],
)
def test_a_projection_that_returns_no_row_keeps_the_row_and_is_named(toys, function, text):
    def fold(row, event):
        return function(row, event) if event.note == "wrong" else row | {"total": event.amount}

    toys({"toy": Commands(), "toy.tallies": TALLIES._replace(evolve={Counted: fold})})
    bus.dispatch(Count("a", 3))
    drain()
    bus.dispatch(Count("a", 4, "wrong"))
    drain()
    assert Tally.objects.get().total == 3
    assert text in Parked.objects.get().error


@pytest.mark.parametrize("found", [None, 7])
def test_a_key_that_is_no_text_parks_the_message_and_is_named(toys, found):
    toys({"toy": Commands(), "toy.tallies": TALLIES._replace(key=wrong(found))})
    bus.dispatch(Count("a"))
    bus.dispatch(Count("b"))
    drain()
    assert {each.key for each in Parked.objects.all()} == {"counter-a", "counter-b"}
    assert "Return the key for Counted, which is a text" in Parked.objects.first().error
    assert not Tally.objects.exists()


def test_a_deadline_that_the_saga_does_not_hear_is_refused(toys):
    reaction = Reaction(Round(), deadline=timedelta(1))
    saga = ROUND._replace(react={Counted: wrong(reaction)})
    toys({"toy": Commands(), "toy.round": saga})
    bus.dispatch(Count("a"))
    drain()
    assert "Add a function for DeadlinePassed" in Parked.objects.get().error
    assert not SagaState.objects.exists()


def test_the_helpers_of_tests_check_as_well():
    with pytest.raises(InvalidResult):
        given(COUNTER._replace(decide={Close: wrong(None)})).when(Close("a")).then()
    with pytest.raises(InvalidResult):
        given(COUNTER._replace(evolve={Closed: wrong(None)}), Closed("a"))


def test_a_test_in_a_transaction_is_told_why_nothing_can_be_delivered():
    with transaction.atomic(), pytest.raises(InTransaction, match="JourneyTestCase"):
        drain()
    assert drain() == 0
