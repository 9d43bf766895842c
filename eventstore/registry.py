"""Look things up in the wiring module that settings.EVENTSTORE_WIRING names."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any

from eventstore.aggregate import Aggregate, Decision
from eventstore.messages import INTERNAL, Command, Event, IntegrationEvent
from eventstore.subscriptions import Subscription

from . import aggregate, codec, settings


class UnknownCommand(LookupError):
    """No decider in the wiring takes this command."""


class UnknownType(LookupError):
    """A stored name that the wiring does not know: newer than this code, or taken out of it. Never
    skipped."""


@cache
def wiring() -> Any:
    return import_module(settings.wiring())


@cache
def subscriptions() -> Mapping[str, Subscription]:
    return dict(wiring().SUBSCRIPTIONS)


def after_restore() -> Mapping[str, Callable[[datetime], Iterable[str]]]:
    """Whom to ask after a restore: (since) -> a sentence for each thing done since then that is not
    in the log."""
    return getattr(wiring(), "AFTER_RESTORE", {})


def saga_statuses() -> frozenset[str]:
    """Those that the wiring names for the sagas that are wired."""
    statuses = getattr(wiring(), "STATUSES", {})
    return frozenset(each for name in subscriptions() for each in statuses.get(name, ()))


def listeners(announced: Iterable[str]) -> set[str]:
    """The subscriptions that hear any of these event types, or are themselves the topic."""
    return {subscription for each in announced for subscription in _listening().get(each, ())}


@cache
def _listening() -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {name: {name} for name in subscriptions()}
    for name, subscription in subscriptions().items():
        for event in subscription.handles:
            found.setdefault(name_heard(name, event), set()).add(name)
    return found


def name_heard(subscription: str, cls: type[Event]) -> str:
    """The stored name of an event that a subscription hears: by the wiring, or by the
    subscription's own contract."""
    announced = {ours: name for name, ours in _contract(subscription).items()}
    return announced.get(cls) or name_of_class(cls)


@cache
def _contract(subscription: str) -> Mapping[str, type[Event]]:
    return getattr(subscriptions().get(subscription), "contract", {})


@cache
def aggregates() -> Mapping[str, Aggregate]:
    """Every aggregate by its category."""
    return {each.category: each for each in wiring().AGGREGATES}


def aggregate_of(stream: str) -> Aggregate:
    return aggregates()[stream.partition("-")[0]]


def decision_for(command: Command) -> Decision:
    try:
        return _decisions()[type(command)]
    except KeyError:
        raise UnknownCommand(f"No decider takes {type(command).__name__}.") from None


def topic_of(command: Command) -> str:
    """The subscription that a command is owed to: its context, the first part of its stored
    name."""
    return name_of(command).partition(".")[0]


def name_of(message: Event | Command) -> str:
    return name_of_class(type(message))


def name_of_class(cls: type[Event | Command]) -> str:
    try:
        return names()[cls]
    except KeyError:
        raise UnknownType(f"{cls.__name__} has no stored name in the wiring.") from None


@cache
def names() -> Mapping[type[Event | Command], str]:
    return {cls: name for table in _tables() for name, cls in table.items()}


def published_name_of(event: IntegrationEvent) -> str:
    try:
        return _published_names()[type(event)]
    except KeyError:
        raise UnknownType(
            f"{type(event).__name__} has no name in PUBLISHED of the wiring."
        ) from None


@cache
def published_types() -> Mapping[str, type[IntegrationEvent]]:
    """What others are told, by its stored name."""
    return {
        name: cls for table in getattr(wiring(), "PUBLISHED", ()) for name, cls in table.items()
    }


@cache
def _published_names() -> Mapping[type[IntegrationEvent], str]:
    return {cls: name for name, cls in published_types().items()}


@cache
def types() -> Mapping[str, type[Event | Command]]:
    return {name: cls for table in _tables() for name, cls in table.items()}


@cache
def upcasters(name: str) -> Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]:
    """The steps of a stored type, by the schema version they start from."""
    return next((table[name] for table in getattr(wiring(), "UPCASTERS", ()) if name in table), {})


def renamed() -> Mapping[str, str]:
    """Stored names of the past -> today's."""
    return getattr(wiring(), "RENAMED", {})


def compatibilities() -> Iterable[Mapping[str, str]]:
    """Tables of stored name -> the compatibility that is promised for it."""
    return getattr(wiring(), "COMPATIBILITY", ())


@cache
def personal() -> Mapping[type, frozenset[str]]:
    """Which fields are about a person, by the class of a message, a part of one, a state or a read
    model."""
    return {
        cls: frozenset(names)
        for table in getattr(wiring(), "PERSONAL", ())
        for cls, names in table.items()
    }


@cache
def schema_version_of(name: str) -> int:
    return max(upcasters(name), default=0) + 1


def decode(name: str, schema_version: int, data: str) -> Any:
    """Make the message of today from one stored under any earlier schema version.

    Raises UnknownType, or codec.Undecodable when the data does not fit the class.
    """
    return reader(name, schema_version)(data)


def decode_for(subscription: str, name: str, schema_version: int, data: str) -> Any:
    """As decode, but into the subscription's own class where it has a contract for the name."""
    return _reader_for(subscription, name, schema_version)(data)


@cache
def _reader_for(subscription: str, name: str, schema_version: int) -> Callable[[str], Any]:
    ours = _contract(subscription).get(renamed().get(name, name))
    return reader(name, schema_version, ours)


@cache
def reader(name: str, schema_version: int, ours: type[Event] | None = None) -> Callable[[str], Any]:
    """What decodes, for those who do so thousands of times. ours: into this class. Raises as
    decode."""
    return codec.reader(*_meant(name, schema_version, ours))


@cache
def maker(name: str, schema_version: int) -> Callable[[str], Any]:
    """As reader, but it may raise codec.Unfit: for those who ask again, by reader, what is
    amiss."""
    return codec.maker(*_meant(name, schema_version, None))


def _meant(
    name: str, schema_version: int, ours: type[Event] | None
) -> tuple[type, int, codec.Upcasters]:
    name = renamed().get(name, name)
    try:
        cls = ours or types()[name]
    except KeyError:
        raise UnknownType(f"No class in the wiring is stored as {name!r}.") from None
    if schema_version > schema_version_of(name):
        raise UnknownType(
            f"{name!r} is stored under schema version {schema_version}, newer than this code."
        )
    return cls, schema_version, upcasters(name)


@cache
def _decisions() -> Mapping[type[Command], Decision]:
    found: dict[type[Command], Decision] = {}
    for each in wiring().AGGREGATES:
        found |= aggregate.decisions(each)
    for table in getattr(wiring(), "DECISIONS", ()):
        found |= table
    return found


def _tables() -> Iterator[Mapping[str, type[Event | Command]]]:
    yield INTERNAL
    yield from wiring().EVENTS
    yield from wiring().COMMANDS
