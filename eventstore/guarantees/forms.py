"""The form of the wiring: its parts, their types, and whether it can be imported. The other checks
run only if it is right."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured

from eventstore import registry, settings
from eventstore.aggregate import Aggregate, Decision
from eventstore.messages import Command, Event, IntegrationEvent, State
from eventstore.results import name_of
from eventstore.subscriptions import (
    Commands,
    Consumer,
    Effect,
    Projection,
    Publication,
    Relay,
    Saga,
    Webhooks,
)

KINDS = (Commands, Consumer, Effect, Projection, Publication, Relay, Saga, Webhooks)
REQUIRED = ("EVENTS", "COMMANDS", "AGGREGATES", "SUBSCRIPTIONS")
# Lists of tables: name -> the class of the keys, and of the values or their base class.
TABLES: Mapping[str, tuple[type, type | None]] = {
    "EVENTS": (str, Event),
    "COMMANDS": (str, Command),
    "PUBLISHED": (str, IntegrationEvent),
    "DECISIONS": (Command, Decision),
    "UPCASTERS": (str, Mapping),
    "COMPATIBILITY": (str, str),
    "PERSONAL": (object, None),
}


def check() -> Iterator[Error]:
    try:
        wiring = registry.wiring()
    except ImproperlyConfigured as error:
        yield Error(str(error), id="eventstore.E044")
        return
    except Exception as error:  # whatever the project's modules raise
        yield Error(
            f"The wiring {settings.wiring()!r} cannot be imported: {error!r}.", id="eventstore.E044"
        )
        return
    for name in REQUIRED:
        if not hasattr(wiring, name):
            yield Error(
                f"The wiring {settings.wiring()!r} has no {name}. Add it, empty if there are none.",
                id="eventstore.E044",
            )
    for name, (key, value) in TABLES.items():
        yield from _check_tables(name, getattr(wiring, name, ()), key, value)
    yield from _check_aggregates(getattr(wiring, "AGGREGATES", ()))
    yield from _check_subscriptions(getattr(wiring, "SUBSCRIPTIONS", {}))
    renamed = getattr(wiring, "RENAMED", {})
    if not isinstance(renamed, Mapping):
        yield _wrong("RENAMED", renamed, "a dict: former stored name -> present one")


def _check_tables(name: str, tables: Any, key: type, value: type | None) -> Iterator[Error]:
    if not isinstance(tables, list | tuple) or not all(isinstance(t, Mapping) for t in tables):
        yield _wrong(name, tables, "a list of dicts")
        return
    for table in tables:
        for named, entry in table.items():
            if not _is(named, key):
                yield _wrong(f"a key in {name}", named, f"a {key.__name__}")
            elif value is not None and not _is(entry, value):
                yield _wrong(f"{name}[{_shown(named)}]", entry, f"a {value.__name__}")


def _check_aggregates(aggregates: Any) -> Iterator[Error]:
    if not isinstance(aggregates, list | tuple):
        yield _wrong("AGGREGATES", aggregates, "a list of Aggregate")
        return
    for each in aggregates:
        if not isinstance(each, Aggregate):
            yield _wrong("AGGREGATES", each, "a list of Aggregate")
            continue
        name = f"the aggregate {each.category!r}"
        if not isinstance(each.category, str):
            yield _wrong("the category of an aggregate", each.category, "a text")
        if not isinstance(each.initial, State):
            yield _wrong(f"`initial` of {name}", each.initial, "an instance of a State class")
        yield from _check_functions(f"`decide` of {name}", each.decide, Command)
        yield from _check_functions(f"`evolve` of {name}", each.evolve, Event)
        if not isinstance(each.snapshot_every, int) or each.snapshot_every < 0:
            yield _wrong(f"`snapshot_every` of {name}", each.snapshot_every, "a number from 0 on")


def _check_subscriptions(subscriptions: Any) -> Iterator[Error]:
    if not isinstance(subscriptions, Mapping):
        yield _wrong("SUBSCRIPTIONS", subscriptions, "a dict: name -> subscription")
        return
    for name, each in subscriptions.items():
        of = f"of the subscription {name!r}"
        if not isinstance(each, KINDS):
            kinds = ", ".join(kind.__name__ for kind in KINDS)
            yield _wrong(f"SUBSCRIPTIONS[{name!r}]", each, f"one of {kinds}")
            continue
        match each:
            case Projection(evolve=table):
                yield from _check_functions(f"`evolve` {of}", table, Event)
            case Saga(react=table):
                yield from _check_functions(f"`react` {of}", table, Event)
                if not isinstance(each.initial, State):
                    yield _wrong(f"`initial` {of}", each.initial, "an instance of a State class")
            case Publication(publish=table):
                yield from _check_functions(f"`publish` {of}", table, Event)
            case Effect(perform=table):
                yield from _check_functions(f"`perform` {of}", table, Event)
                yield from _check_functions(f"`find` {of}", each.find, Event)
                yield from _check_functions(f"`key` {of}", each.key, Event)
        if isinstance(each, Projection | Saga) and not callable(each.key):
            yield _wrong(f"`key` {of}", each.key, "a function: event -> key")


def _check_functions(where: str, table: Any, of: type) -> Iterator[Error]:
    if not isinstance(table, Mapping):
        yield _wrong(where, table, f"a dict: {of.__name__} class -> function")
        return
    for message, function in table.items():
        if not _is(message, of):
            yield _wrong(f"a key in {where}", message, f"a {of.__name__} class")
        elif not callable(function):
            yield _wrong(f"the entry of {message.__name__} in {where}", function, "a function")


def _is(value: Any, cls: type) -> bool:
    """Whether it is such a value or, for classes of messages, such a class."""
    if issubclass(cls, Event | Command | IntegrationEvent):
        return isinstance(value, type) and issubclass(value, cls)
    return isinstance(value, cls)


def _wrong(what: str, value: Any, right: str) -> Error:
    text = f"{what} is {_shown(value)}, but has to be {right}."
    return Error(text[:1].upper() + text[1:], id="eventstore.E045")


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, Callable):  # type: ignore[arg-type]
        return f"the function {name_of(value)}"
    return repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
