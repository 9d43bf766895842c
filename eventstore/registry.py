"""Look up names and functions in the wiring module that settings.EVENTSTORE_WIRING names."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from eventstore.aggregate import Aggregate, Decision, EventsByStream
from eventstore.messages import INTERNAL, BrokerMessage, Command, Event, IntegrationEvent
from eventstore.subscriptions import Projection, Saga, Subscription

from . import aggregate, codec, results, settings

K = TypeVar("K", bound=Subscription)


class UnknownCommand(LookupError):
    """The wiring has no decider for this command."""


class UnknownType(LookupError):
    """The wiring does not have this stored name: it is newer than this code, or was removed. Such
    messages are never skipped."""


@cache
def wiring() -> Any:
    return import_module(settings.wiring())


@cache
def subscriptions() -> Mapping[str, Subscription]:
    """By name. Keys of projections and sagas are checked as they are made."""
    return {
        name: (
            each._replace(key=results.checked_key(each.key))
            if isinstance(each, Projection | Saga)
            else each
        )
        for name, each in wiring().SUBSCRIPTIONS.items()
    }


def of_kind(kind: type[K]) -> dict[str, K]:
    """The subscriptions of one kind, by name."""
    return {name: each for name, each in subscriptions().items() if isinstance(each, kind)}


def after_restore() -> Mapping[str, Callable[[datetime], Iterable[str]]]:
    """Name -> function to call after a restore: (since) -> a sentence for each effect since then
    that is not in the log."""
    return getattr(wiring(), "AFTER_RESTORE", {})


def saga_statuses() -> frozenset[str]:
    """The statuses that the wiring names for its sagas."""
    statuses = getattr(wiring(), "STATUSES", {})
    return frozenset(each for name in subscriptions() for each in statuses.get(name, ()))


def listeners(announced: Iterable[str]) -> set[str]:
    """The subscriptions that handle one of these event types, or whose name is the topic."""
    return {subscription for each in announced for subscription in _listening().get(each, ())}


@cache
def _listening() -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {name: {name} for name in subscriptions()}
    for name, subscription in subscriptions().items():
        for event in subscription.handles:
            found.setdefault(stored_name_for(name, event), set()).add(name)
    return found


def stored_name_for(subscription: str, cls: type[Event]) -> str:
    """The stored name of an event class that a subscription handles: from the subscription's
    contract, else from the wiring."""
    names = {own: name for name, own in _contract(subscription).items()}
    return names.get(cls) or name_of_class(cls)


@cache
def _contract(subscription: str) -> Mapping[str, type[Event]]:
    return getattr(subscriptions().get(subscription), "contract", {})


@cache
def aggregates() -> Mapping[str, Aggregate]:
    """Category -> aggregate."""
    return {each.category: each for each in wiring().AGGREGATES}


def aggregate_of(stream: str) -> Aggregate:
    return aggregates()[stream.partition("-")[0]]


def decision_for(command: Command) -> Decision:
    try:
        return _decisions()[type(command)]
    except KeyError:
        raise UnknownCommand(f"No decider for {type(command).__name__}.") from None


def topic_of(command: Command) -> str:
    """The subscription that a command is enqueued for: its context, which is the first part of its
    stored name."""
    return name_of_class(type(command)).partition(".")[0]


@cache
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
    """Published name -> class of the integration event."""
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
    """The upcasters of a stored type, by the schema version that they start from."""
    return next((table[name] for table in getattr(wiring(), "UPCASTERS", ()) if name in table), {})


def renamed() -> Mapping[str, str]:
    """Former stored name -> current one."""
    return getattr(wiring(), "RENAMED", {})


def compatibilities() -> Iterable[Mapping[str, str]]:
    """Tables of stored name -> its promised compatibility."""
    return getattr(wiring(), "COMPATIBILITY", ())


@cache
def personal() -> Mapping[type, frozenset[str]]:
    """Class -> its fields with personal data. Classes of messages, of parts of messages, of states
    and of read models."""
    # The bytes of another system may hold anything.
    of_others = {BrokerMessage: frozenset({"value", "headers", "properties"})}
    return of_others | {
        cls: frozenset(names)
        for table in getattr(wiring(), "PERSONAL", ())
        for cls, names in table.items()
    }


@cache
def schema_version_of(name: str) -> int:
    return max(upcasters(name), default=0) + 1


def decode(name: str, schema_version: int, data: str) -> Any:
    """Decode a message stored under any schema version into its current class.

    Raises UnknownType, or codec.Undecodable when the data does not fit the class.
    """
    return reader(name, schema_version)(data)


@cache
def reader_for(subscription: str, name: str, schema_version: int) -> Callable[[str], Any]:
    """As reader, but into the subscription's own class where it has a contract for the name."""
    own = _contract(subscription).get(renamed().get(name, name))
    return reader(name, schema_version, own)


@cache
def reader(name: str, schema_version: int, own: type[Event] | None = None) -> Callable[[str], Any]:
    """The function that decodes, looked up once for thousands of messages. own: the class to decode
    into. Raises as decode does, also when it is called."""
    return codec.reader(*_decoding_of(name, schema_version, own))


@cache
def maker(name: str, schema_version: int) -> Callable[[str], Any]:
    """As reader, but faster, and its function may raise codec.Unfit: for callers that then decode
    again with reader to get the full error."""
    return codec.maker(*_decoding_of(name, schema_version, None))


def _decoding_of(
    name: str, schema_version: int, own: type[Event] | None
) -> tuple[type, int, codec.Upcasters]:
    name = renamed().get(name, name)
    try:
        cls = own or types()[name]
    except KeyError:
        raise UnknownType(
            f"No class in the wiring has the stored name {name!r}. If it was renamed, list it in"
            " RENAMED."
        ) from None
    if schema_version > schema_version_of(name):
        raise UnknownType(
            f"{name!r} is stored with schema version {schema_version}, newer than this code."
        )
    return cls, schema_version, upcasters(name)


@cache
def _decisions() -> Mapping[type[Command], Decision]:
    found: dict[type[Command], Decision] = {}
    for each in wiring().AGGREGATES:
        found |= aggregate.decisions(each)
    for table in getattr(wiring(), "DECISIONS", ()):
        found |= {command: _checked(decision) for command, decision in table.items()}
    return found


def _checked(decision: Decision) -> Decision:
    """The decision, whose result is checked."""

    def decide(states: Mapping[str, Any], command: Any) -> EventsByStream:
        found = decision.decide(states, command)
        return results.events_by_stream(decision.decide, found, states)

    return decision._replace(decide=decide)


def _tables() -> Iterator[Mapping[str, type[Event | Command]]]:
    yield INTERNAL
    yield from wiring().EVENTS
    yield from wiring().COMMANDS
