"""manage.py check finds what is wrong in the wiring; each finding has a number, and ours has
none."""

import sys
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections, models

from eventstore.aggregate import Decision
from eventstore.guarantees import wiring as checks
from eventstore.messages import Command, Event, State
from eventstore.models import ReadModel, Subscription
from eventstore.subscriptions import (
    Commands,
    Consumer,
    Effect,
    Publication,
    Reaction,
    Relay,
    Webhooks,
)
from tests.eventstore.toy import (
    COMMANDS,
    COUNTER,
    EFFECT,
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


@pytest.mark.parametrize(
    ("app", "parts"),
    [
        ("eventstore.messaging", {}),
        ("eventstore.webhooks", {"SUBSCRIPTIONS": {"toy.webhooks": Webhooks((), dict, dict, str)}}),
    ],
)
def test_a_project_that_lacks_the_commands_for_what_it_uses_is_warned(wire, settings, app, parts):
    settings.EVENTSTORE_BROKERS = {"kafka": {"TRANSPORT": "eventstore.messaging.kafka.Kafka"}}
    assert "eventstore.W043" not in found(wire, **parts)
    settings.INSTALLED_APPS = [each for each in settings.INSTALLED_APPS if each != app]
    assert "eventstore.W043" in found(wire, **parts)
    assert any(app in each.msg for each in checks.check_wiring(None))


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
def test_a_consumer_names_topics_and_functions(wire, settings, consumer, numbers):
    settings.EVENTSTORE_BROKERS = {"kafka": {}}
    assert found(wire, SUBSCRIPTIONS={"toy": Commands(), "a.reader": consumer}) == numbers


ONE = Webhooks((Publication({Counted: print}),), dict, dict, str)
TWICE = Webhooks((Publication({Counted: print}), Publication({Counted: print})), dict, dict, str)


@pytest.mark.parametrize(
    ("webhooks", "numbers"),
    [
        ({"webhooks": ONE}, []),
        ({"webhooks": ONE, "more": ONE}, ["eventstore.E038"]),
        ({"webhooks": TWICE}, ["eventstore.E039"]),
    ],
    ids=["right", "two", "an event twice"],
)
def test_webhooks_are_one_subscription_with_each_event_once(wire, webhooks, numbers):
    assert found(wire, SUBSCRIPTIONS={"toy": Commands()} | webhooks) == numbers


@dataclass(frozen=True)
class Place:
    shelf: int


class Pair(NamedTuple):
    first: int
    second: int


class Shelved(Event, frozen=True):
    counter_id: str
    place: Place


class Paired(Event, frozen=True):
    counter_id: str
    pairs: tuple[Pair, ...]


class Anything(Event, frozen=True):
    counter_id: str
    what: object


class NoReadModel(models.Model):
    counter_id = models.TextField(primary_key=True)

    class Meta:
        app_label = "toy"


class Numbered(ReadModel):
    number = models.IntegerField(primary_key=True)

    class Meta:
        app_label = "toy"


class Folder:
    """A function that is an object."""

    def __call__(self, counter: Counter, event: Counted) -> Counter:
        return counter


def unannotated(counter, event):
    return counter


def annotated_with_what_is_not_there(counter: Counter, event: "Nowhere") -> Counter:  # noqa: F821
    return counter


def of_any_event(counter: Counter, event: Event) -> Counter:
    return counter


def with_event(cls):
    return {
        "EVENTS": [EVENTS[0] | {"toy.new": cls}],
        "AGGREGATES": [
            COUNTER._replace(evolve=COUNTER.evolve | {cls: lambda counter, event: counter})
        ],
    }


def evolving(function):
    return {"AGGREGATES": [COUNTER._replace(evolve=COUNTER.evolve | {Counted: function})]}


def subscribed(**others):
    return {"SUBSCRIPTIONS": {"toy": Commands()} | others}


@pytest.mark.parametrize(
    ("number", "parts", "named"),
    [
        ("E046", {"EVENTS": [EVENTS[0] | {"toy.counted_too": Counted}]}, "'toy.counted_too'"),
        ("E046", {"COMMANDS": [COMMANDS[0] | {"toy.count_too": Count}]}, "Count "),
        ("E047", {"COMMANDS": [{"toy.close": Close, "toy.move": Move}]}, "Count "),
        ("E047", {"COMMANDS": [{"toy.close": Close, "toy.count": Count}]}, "Move "),
        ("E048", {"AGGREGATES": [COUNTER._replace(identity="counterid")]}, "'counterid'"),
        ("E049", subscribed(t=TALLIES._replace(key=attrgetter("countr_id"))), "'countr_id'"),
        ("E049", subscribed(t=TALLIES._replace(key=lambda event: event.countr)), "'countr'"),
        ("E049", subscribed(r=ROUND._replace(key=attrgetter("countr_id"))), "'countr_id'"),
        ("E049", subscribed(e=EFFECT._replace(key={Counted: lambda each: each.to})), "'to'"),
        ("E050", subscribed(t=TALLIES._replace(category="countr")), "'countr'"),
        ("E051", subscribed(t=TALLIES._replace(model=NoReadModel)), "NoReadModel"),
        ("E051", subscribed(t=TALLIES._replace(model="toy.Tally")), "'toy.Tally'"),
        ("E051", subscribed(t=TALLIES._replace(model=Numbered)), "Numbered"),
        ("E051", subscribed(t=TALLIES._replace(model=ReadModel)), "ReadModel"),
        ("E052", subscribed(t=TALLIES, u=TALLIES), "'t', 'u'"),
        ("E053", {"RENAMED": {"toy.was": "toy.contd"}}, "'toy.contd'"),
        ("E053", {"RENAMED": {"toy.closed": "toy.counted"}}, "'toy.closed'"),
        ("E054", with_event(Shelved), "Shelved.place"),
        ("E054", with_event(Paired), "Paired.pairs"),
        ("E054", with_event(Anything), "Anything.what"),
        ("E056", evolving(unannotated), "unannotated"),
        ("E056", evolving(annotated_with_what_is_not_there), "Nowhere"),
        ("E057", subscribed(e=EFFECT._replace(find={Closed: of_effect})), "Closed"),
        ("E057", subscribed(e=EFFECT._replace(key={Closed: attrgetter("counter_id")})), "Closed"),
        ("E058", subscribed(**{"p@nats": Relay(Publication({}), "nats")}), "'nats'"),
        ("E058", subscribed(c=Consumer("nats", ["a"], {})), "'nats'"),
    ],
)
def test_what_can_be_known_without_data_is_found(wire, number, parts, named):
    wire(**parts)
    found = [each for each in checks.check_wiring(None) if each.id == f"eventstore.{number}"]
    assert any(named in each.msg for each in found), checks.check_wiring(None)


@pytest.mark.parametrize(
    "parts",
    [
        evolving(Folder()),
        evolving(of_any_event),
        evolving(partial(partial(Folder()))),
        subscribed(t=TALLIES._replace(key=lambda event: event.counter_id.partition(".")[0][0])),
        subscribed(e=EFFECT._replace(key={Counted: lambda event: f"{event.counter_id}"})),
        {"RENAMED": {"toy.was": "toy.counted"}},
    ],
    ids=["an object", "of a base class", "a partial", "a derived key", "a made key", "a rename"],
)
def test_what_looks_unusual_and_is_right_is_not_found(wire, parts):
    assert found(wire, **parts) == []


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"EVENTS": EVENTS[0]}, "EVENTS"),
        ({"EVENTS": None}, "EVENTS"),
        ({"EVENTS": [{"toy.counted": Count}]}, "'toy.counted'"),
        ({"EVENTS": [{"toy.counted": "Counted"}]}, "'Counted'"),
        ({"EVENTS": [{Counted: "toy.counted"}]}, "Counted"),
        ({"COMMANDS": [{"toy.count": Counted}]}, "'toy.count'"),
        ({"AGGREGATES": COUNTER}, "Counter"),
        ({"AGGREGATES": [TALLIES]}, "AGGREGATES"),
        ({"AGGREGATES": [COUNTER._replace(initial=Counter)]}, "`initial`"),
        ({"AGGREGATES": [COUNTER._replace(decide=[of_close])]}, "`decide`"),
        ({"AGGREGATES": [COUNTER._replace(decide={Count: None})]}, "Count"),
        ({"AGGREGATES": [COUNTER._replace(evolve={Count: of_close})]}, "Count"),
        ({"AGGREGATES": [COUNTER._replace(snapshot_every=-1)]}, "`snapshot_every`"),
        ({"DECISIONS": [{Move: of_close}]}, "of_close"),
        ({"SUBSCRIPTIONS": [TALLIES]}, "SUBSCRIPTIONS"),
        (subscribed(t=None), "'t'"),
        (subscribed(t=COUNTER), "'t'"),
        (subscribed(t=TALLIES._replace(evolve=None)), "`evolve`"),
        (subscribed(t=TALLIES._replace(key="counter_id")), "'counter_id'"),
        (subscribed(r=ROUND._replace(initial=None)), "`initial`"),
        (subscribed(e=EFFECT._replace(perform={Counted: "call"})), "'call'"),
        ({"UPCASTERS": {"toy.counted": {1: dict}}}, "UPCASTERS"),
        ({"RENAMED": ["toy.was"]}, "RENAMED"),
        ({"PERSONAL": {Counted: ["note"]}}, "PERSONAL"),
        ({"PERSONAL": [{int: ["note"]}]}, "_invalid_personal_fields"),
    ],
)
def test_a_wrong_form_is_a_finding_and_never_an_error_of_the_check(wire, parts, named):
    wire(**parts)
    found = checks.check_wiring(None)
    assert {each.id for each in found} == {"eventstore.E045"}
    assert any(named in each.msg for each in found), found


@pytest.mark.parametrize("name", ["EVENTS", "COMMANDS", "AGGREGATES", "SUBSCRIPTIONS"])
def test_a_part_that_is_missing_is_named(wire, settings, name):
    wire()
    delattr(sys.modules[settings.EVENTSTORE_WIRING], name)
    (finding,) = checks.check_wiring(None)
    assert (finding.id, name in finding.msg) == ("eventstore.E044", True)


def test_a_wiring_that_cannot_be_imported_is_named(wire, settings):
    wire()
    settings.EVENTSTORE_WIRING = "tests.nowhere"
    (finding,) = checks.check_wiring(None)
    assert "'tests.nowhere' cannot be imported" in finding.msg
    del settings.EVENTSTORE_WIRING
    checks.registry.wiring.cache_clear()
    (finding,) = checks.check_wiring(None)
    assert "EVENTSTORE_WIRING" in finding.msg


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USE_TZ", False),
        ("EVENTSTORE_QUERY_DATABASE", "replica"),
        ("EVENTSTORE_EVENT_BUS", "eventstore.nowhere.Bus"),
        ("EVENTSTORE_GUARANTEES", "nowhere.GUARANTEES"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(wire, settings, name, value):
    wire()
    setattr(settings, name, value)
    (finding,) = [each for each in run_checks() if (each.id or "").startswith("eventstore.")]
    assert (finding.id, name in finding.msg) == ("eventstore.E055", True)


def test_another_database_than_postgresql_is_named(wire, monkeypatch):
    wire()
    monkeypatch.setattr(type(connections["default"]), "vendor", "sqlite")
    (finding,) = checks.check_wiring(None)
    assert "sqlite" in finding.msg


def test_manage_py_check_prints_findings_in_place_of_a_traceback(wire):
    wire(AGGREGATES=[COUNTER._replace(decide={Count: None})])
    with pytest.raises(SystemCheckError, match="eventstore.E045"):
        call_command("check")
