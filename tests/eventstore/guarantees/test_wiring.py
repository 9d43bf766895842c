"""manage.py check finds what is wrong in the wiring; each finding has a number, and ours has
none."""

import sys
from functools import partial

import pytest
from django.core.checks import run_checks

from eventstore.aggregate import Decision
from eventstore.guarantees import wiring as checks
from eventstore.messages import Command, Event, State
from eventstore.models import Subscription
from eventstore.subscriptions import Commands, Consumer, Effect, Reaction
from tests.eventstore.toy import (
    COMMANDS,
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
)


def found(wire, **parts):
    wire(**parts)
    return [error.id for error in checks.check_wiring(None)]


class Unnamed(Event, frozen=True):
    counter_id: str


class Undecided(Command, frozen=True):
    counter_id: str


def of_closed(counter: Counter, event: Closed) -> Counter:
    return counter


def of_either(counter: Counter, event: Counted | Closed) -> Counter:
    return counter


def of_close(counter: Counter, command: Close) -> list[Event]:
    return []


def of_row(row: dict, event: Closed) -> dict:
    return row


def of_saga(state: State, event: Closed) -> Reaction:
    return Reaction(state)


def of_effect(event: Closed, key: str) -> Command:
    return Close(event.counter_id)


class Stateless(State, frozen=True):
    total: int = 0


def test_our_own_wiring_has_none():
    assert [error for error in run_checks() if (error.id or "").startswith("eventstore.")] == []


def test_nor_has_the_toys(wire):
    assert found(wire) == []


@pytest.mark.parametrize(
    ("number", "parts"),
    [
        ("E001", {"EVENTS": [*EVENTS, {"toy.counted": Counted}]}),
        ("E001", {"EVENTS": [{**EVENTS[0], "toy.count": Closed}]}),
        ("E002", {"AGGREGATES": [COUNTER, COUNTER._replace(category="other")]}),
        ("E002", {"DECISIONS": [{Move: Decision(list, dict)}, {Count: Decision(list, dict)}]}),
        ("E003", {"COMMANDS": [COMMANDS[0] | {"toy.undecided": Undecided}]}),
        ("E003", {"DECISIONS": []}),
        (
            "E004",
            {
                "AGGREGATES": [
                    COUNTER._replace(
                        evolve=COUNTER.evolve | {Unnamed: lambda counter, event: counter}
                    )
                ]
            },
        ),
        (
            "E004",
            {
                "SUBSCRIPTIONS": {
                    "toy": Commands(),
                    "toy.t": TALLIES._replace(evolve={Unnamed: lambda row, _: row}),
                }
            },
        ),
        ("E004", {"EVENTS": [{"toy.counted": Counted}]}),
        ("E005", {"EVENTS": [EVENTS[0] | {"toy.unnamed": Unnamed}]}),
        ("E006", {"SUBSCRIPTIONS": {}}),
        ("E006", {"SUBSCRIPTIONS": {"toy": TALLIES}}),
        ("E007", {"AGGREGATES": [COUNTER._replace(evolve=COUNTER.evolve | {Counted: of_closed})]}),
        ("E007", {"AGGREGATES": [COUNTER._replace(decide=COUNTER.decide | {Count: of_close})]}),
        (
            "E007",
            {"AGGREGATES": [COUNTER._replace(decide=COUNTER.decide | {Count: partial(of_close)})]},
        ),
        (
            "E007",
            {
                "SUBSCRIPTIONS": {
                    "toy": Commands(),
                    "toy.t": TALLIES._replace(evolve={Counted: of_row}),
                }
            },
        ),
        (
            "E007",
            {
                "SUBSCRIPTIONS": {
                    "toy": Commands(),
                    "toy.r": ROUND._replace(react={Counted: of_saga}),
                }
            },
        ),
        (
            "E007",
            {"SUBSCRIPTIONS": {"toy": Commands(), "toy.e": Effect(perform={Counted: of_effect})}},
        ),
        ("E008", {"UPCASTERS": [{"toy.counted": {1: dict, 3: dict}}]}),
        ("E008", {"UPCASTERS": [{"toy.counted": {2: dict}}]}),
        ("E009", {"UPCASTERS": [{"toy.unknown": {1: dict}}]}),
        (
            "E012",
            {
                "SUBSCRIPTIONS": {
                    "toy": Commands(),
                    "toy.r": ROUND._replace(upcasters={1: dict, 3: dict}),
                }
            },
        ),
        ("E011", {"EVENTS": [EVENTS[0] | {"toy.Unnamed": Unnamed}]}),
        ("E011", {"EVENTS": [EVENTS[0] | {f"toy.{'x' * 64}": Unnamed}]}),
        ("E013", {"AGGREGATES": [COUNTER, COUNTER._replace(decide={})]}),
        ("E014", {"AGGREGATES": [COUNTER._replace(category="Counter")]}),
        ("E014", {"AGGREGATES": [COUNTER._replace(category="counter-of")]}),
        ("E015", {"SUBSCRIPTIONS": {"toy": Commands(), "toy tallies": TALLIES}}),
        (
            "E010",
            {"SUBSCRIPTIONS": {"toy": Commands(), "toy.r": ROUND._replace(initial=Stateless())}},
        ),
    ],
)
def test_what_is_wrong_is_found(wire, number, parts):
    assert f"eventstore.{number}" in found(wire, **parts)


@pytest.mark.parametrize(
    "parts",
    [
        {"AGGREGATES": [COUNTER._replace(evolve={Counted: of_either, Closed: of_either})]},
        {"AGGREGATES": [COUNTER._replace(decide=COUNTER.decide | {Close: partial(of_close)})]},
        {"UPCASTERS": [{"toy.counted": {1: dict, 2: dict}}]},
        {"SUBSCRIPTIONS": {"toy": Commands(), "toy.r": ROUND, "toy.t": TALLIES}},
    ],
    ids=[
        "a union is taken apart",
        "a partial is looked into",
        "a whole chain",
        "every kind of subscription",
    ],
)
def test_what_is_right_is_not(wire, parts):
    assert found(wire, **parts) == []


@pytest.mark.parametrize(("wakes", "number"), [(True, ["eventstore.E016"]), (False, [])])
def test_without_celery_nobody_is_to_be_nudged_through_it(
    wire, settings, monkeypatch, wakes, number
):
    monkeypatch.setitem(sys.modules, "celery", None)  # as if it were not installed
    settings.EVENTSTORE_WAKE_WORKERS = wakes
    assert found(wire) == number


def test_each_finding_says_what_it_is_about(wire):
    wire(COMMANDS=[COMMANDS[0] | {"toy.undecided": Undecided}])
    assert "toy.undecided" in str(checks.check_wiring(None)[0])


@pytest.mark.parametrize(
    ("personal", "number"),
    [
        ({Counted: ("note", "nonsense")}, ["eventstore.E017"]),
        ({Counted: ("amount",)}, ["eventstore.E018"]),
        ({Subscription: ("nonsense",)}, ["eventstore.E017"]),
        ({Counted: ("note",), Subscription: ("name", "position")}, []),
    ],
    ids=["no such field", "no text", "no such column", "all of it is there"],
)
def test_what_is_personal_is_a_text_that_there_is(wire, personal, number):
    assert found(wire, PERSONAL=[personal]) == number


@pytest.mark.parametrize(
    ("consumer", "numbers"),
    [
        (Consumer("kafka", ["events.a"], {"a.*": print}), []),
        (Consumer("kafka", "events.a", {"a.*": print}), ["eventstore.E019"]),
        (Consumer("kafka", [], {"a.*": print}), ["eventstore.E019"]),
        (Consumer("kafka", ["events.a"], {"a.*": "print"}), ["eventstore.E020"]),
    ],
    ids=["right", "one text", "no topic", "no function"],
)
def test_a_consumer_names_topics_and_functions(wire, consumer, numbers):
    assert found(wire, SUBSCRIPTIONS={"toy": Commands(), "a.reader": consumer}) == numbers
