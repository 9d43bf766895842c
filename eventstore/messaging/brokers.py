"""The brokers of the settings, and their clients."""

from fnmatch import fnmatchcase
from typing import Any

from django.utils.module_loading import import_string

from eventstore import registry, settings
from eventstore.subscriptions import Consumer

from .cloudevents import Origin
from .consumers.dead_letters import DeadLetterTopics
from .transport import Reading, Source, Transport


def transport(broker: str, relay: str) -> Transport:
    """A new client for one relay."""
    kind, given = _of(broker)
    made: Transport = kind(relay, origin(), given)
    return made


def transport_without_transactions(broker: str, name: str) -> Transport:
    """A new client that publishes at least once, and keeps no checkpoint."""
    kind, given = _of(broker)
    made: Transport = kind.without_transactions(name, origin(), given)
    return made


def source(broker: str, reading: Reading) -> Source:
    """A new client that reads for one consumer. Raises BrokerProblem."""
    kind, given = _of(broker)
    made: Source = kind.source(broker, reading, given)
    return made


def dead_letters(broker: str) -> DeadLetterTopics:
    """A new client for dead letters. Raises BrokerProblem."""
    kind, given = _of(broker)
    made: DeadLetterTopics = kind.dead_letters(given)
    return made


def names() -> list[str]:
    return list(settings.brokers())


def readings(broker: str) -> list[Reading]:
    """Of the consumers of the wiring that read from this broker."""
    found = []
    for name, each in registry.of_kind(Consumer).items():
        if each.broker == broker:
            known = {*registry.published_types(), *each.contract}
            types = {pattern for pattern in each.handle if "*" not in pattern}
            types |= {one for one in known for pattern in each.handle if fnmatchcase(one, pattern)}
            # Also those of its topics that no handler matches: what comes after a missing one of
            # its stream is held back as too early.
            types |= {one for one in known if f"events.{one.partition('.')[0]}" in each.topics}
            found.append(Reading(name, each.topics, sorted(types)))
    return found


def administration(broker: str) -> Any:
    """What creates topics and exchanges, and says what is missing."""
    kind, given = _of(broker)
    return kind.administration(given)


def options(broker: str) -> dict[str, Any]:
    """Of its transport's class."""
    found = dict(settings.brokers()[broker])
    del found["TRANSPORT"]
    return found


def transport_name(broker: str) -> str:
    """The dotted path of its transport's class."""
    return str(settings.brokers()[broker]["TRANSPORT"])


def _of(broker: str) -> tuple[Any, dict[str, Any]]:
    """Its class, and the options for it."""
    return import_string(transport_name(broker)), options(broker)


def origin() -> Origin:
    return Origin(
        settings.event_source(),
        settings.schema_address(),
        structured=settings.cloudevents_mode() == "structured",
        registry=settings.registry_address(),
    )
