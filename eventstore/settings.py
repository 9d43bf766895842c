"""What a project may say in its Django settings; only the wiring must be said."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def wiring() -> str:
    """The module that lists who decides a command and who hears an event, such as
    "config.wiring"."""
    return str(_required("EVENTSTORE_WIRING"))


def wake_workers() -> bool:
    """Whether writers tell the workers through Celery's broker; without it they come to know by
    their poll."""
    return bool(getattr(settings, "EVENTSTORE_WAKE_WORKERS", True))


def event_bus() -> str:
    """The class of the bus that integration events go out on."""
    return str(
        getattr(settings, "EVENTSTORE_EVENT_BUS", "eventstore.messaging.event_bus.InProcessBus")
    )


def brokers() -> Mapping[str, Mapping[str, Any]]:
    """The brokers that relays publish to, by name: the dotted path of the transport's class, and
    its options."""
    return dict(getattr(settings, "EVENTSTORE_BROKERS", {}))


def event_source() -> str:
    """Who publishes: the `source` of each CloudEvent."""
    return str(getattr(settings, "EVENTSTORE_EVENT_SOURCE", "/eventstore"))


def schema_address() -> str:
    """Where the schemas of integration events can be read; the type and version follow it. Empty:
    events name no schema."""
    return str(getattr(settings, "EVENTSTORE_SCHEMA_ADDRESS", ""))


def cloudevents_mode() -> str:
    """ "binary": attributes as headers beside the value; "structured": all in one JSON text."""
    return str(getattr(settings, "EVENTSTORE_CLOUDEVENTS_MODE", "binary"))


def outbox_retention() -> timedelta:
    """How long the outbox keeps what every subscription has passed; the setting is in seconds."""
    return timedelta(seconds=getattr(settings, "EVENTSTORE_OUTBOX_RETENTION", 0))


def query_database() -> str:
    """Which of Django's databases queries are asked of: a replica, where there is one."""
    return str(getattr(settings, "EVENTSTORE_QUERY_DATABASE", "default"))


def longest_wait() -> float:
    """Seconds for which a query waits at most for a read model, whatever the client would
    prefer."""
    return float(getattr(settings, "EVENTSTORE_LONGEST_WAIT", 5.0))


def remembered_bytes() -> int:
    """How much a process remembers of the states that it has decided on, as they would be
    packed."""
    return int(getattr(settings, "EVENTSTORE_REMEMBERED_BYTES", 16 << 20))


def page_bytes() -> int:
    """How much of events or rows a page is made of, as JSON: one more ends it early. A single one
    may be larger."""
    return int(getattr(settings, "EVENTSTORE_PAGE_BYTES", 1 << 20))


def most_waiting() -> int:
    """How many requests of one process wait for a read model at once; each keeps a thread."""
    return int(getattr(settings, "EVENTSTORE_MOST_WAITING", 4))


def most_waiting_per_user() -> int:
    """How many of them are one user's."""
    return int(getattr(settings, "EVENTSTORE_MOST_WAITING_PER_USER", 2))


def idempotency_key_required() -> bool:
    """Whether a command without an Idempotency-Key is refused."""
    return bool(getattr(settings, "EVENTSTORE_IDEMPOTENCY_KEY_REQUIRED", False))


def response_retention() -> timedelta:
    """How long an answer under an idempotency key can be had again; the setting is in days."""
    return timedelta(days=getattr(settings, "EVENTSTORE_RESPONSE_RETENTION", 30))


def max_message_bytes() -> int:
    """How large a message may be as JSON. What is larger belongs into a file, and its name into the
    message."""
    return int(getattr(settings, "EVENTSTORE_MAX_MESSAGE_BYTES", 1 << 20))


def inbox_retention() -> timedelta:
    """For how long a message from outside is known again; longer than anybody repeats it. The
    setting is in days."""
    return timedelta(days=getattr(settings, "EVENTSTORE_INBOX_RETENTION", 30))


def allow_unsafe_database() -> bool:
    """Whether to run on a server that may forget what it has acknowledged, as for a measurement."""
    return bool(getattr(settings, "EVENTSTORE_ALLOW_UNSAFE_DATABASE", False))


def guarantees() -> str:
    """What the project's own promises rest on: the name of a table of
    eventstore.guarantees.Guarantee, or none."""
    return str(getattr(settings, "EVENTSTORE_GUARANTEES", ""))


def environment() -> str:
    """What the console calls the place that it is in, such as "production"; no word, no banner."""
    return str(getattr(settings, "EVENTSTORE_ENVIRONMENT", ""))


def live_poll() -> float:
    """Seconds between two looks of a socket server at the end of the log."""
    return float(getattr(settings, "EVENTSTORE_LIVE_POLL", 0.05))


def live_recheck() -> float:
    """Seconds between two looks at whether those who follow still may."""
    return float(getattr(settings, "EVENTSTORE_LIVE_RECHECK", 5.0))


def live_sockets() -> int:
    """How many sockets a process serves at once; more are told to try again."""
    return int(getattr(settings, "EVENTSTORE_LIVE_SOCKETS", 1000))


def live_sockets_per_user() -> int:
    """How many of them one user may have open at a process."""
    return int(getattr(settings, "EVENTSTORE_LIVE_SOCKETS_PER_USER", 20))


def schemas() -> Path:
    """The folder of the published schemas; only manage.py schemas asks for it."""
    return Path(_required("EVENTSTORE_SCHEMAS"))


def _required(name: str) -> Any:
    try:
        return getattr(settings, name)
    except AttributeError:
        raise ImproperlyConfigured(
            f"The event store needs {name} in your settings; see eventstore/settings.py."
        ) from None
