"""The brokers of the settings, and their clients."""

from typing import Any

from django.utils.module_loading import import_string

from eventstore import settings

from .cloudevents import Origin
from .transport import Transport


def transport(broker: str, relay: str) -> Transport:
    """A new client for one relay."""
    options = dict(settings.brokers()[broker])
    made: Transport = import_string(options.pop("TRANSPORT"))(relay, origin(), options)
    return made


def administration(broker: str) -> Any:
    """What creates topics and exchanges, and says what is missing."""
    options = dict(settings.brokers()[broker])
    return import_string(options.pop("TRANSPORT")).administration(options)


def origin() -> Origin:
    return Origin(
        settings.event_source(),
        settings.schema_address(),
        structured=settings.cloudevents_mode() == "structured",
    )
