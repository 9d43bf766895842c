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
    kind, options = _of(broker)
    made: Transport = kind(relay, origin(), options)
    return made


def transport_without_transactions(broker: str, name: str) -> Transport:
    """A new client that publishes at least once, and keeps no checkpoint."""
    kind, options = _of(broker)
    made: Transport = kind.without_transactions(name, origin(), options)
    return made


def source(broker: str, reading: Reading) -> Source:
    """A new client that reads for one consumer. Raises BrokerProblem."""
    kind, options = _of(broker)
    made: Source = kind.source(broker, reading, options)
    return made


def dead_letters(broker: str) -> DeadLetterTopics:
    """A new client for dead letters. Raises BrokerProblem."""
    kind, options = _of(broker)
    made: DeadLetterTopics = kind.dead_letters(options)
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
    kind, options = _of(broker)
    return kind.administration(options)


def _of(broker: str) -> tuple[Any, dict[str, Any]]:
    """Its class, and the options for it."""
    options = dict(settings.brokers()[broker])
    return import_string(options.pop("TRANSPORT")), options


def origin() -> Origin:
    return Origin(
        settings.event_source(),
        settings.schema_address(),
        structured=settings.cloudevents_mode() == "structured",
    )
