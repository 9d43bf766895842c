"""The Django settings of the event store. Only EVENTSTORE_WIRING is required."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

T = TypeVar("T")


def _read_once(read: Callable[[], T]) -> Callable[[], T]:
    """For settings that each request reads. They change in tests only."""
    once = cache(read)
    setting_changed.connect(lambda **_: once.cache_clear(), weak=False)
    return once


def wiring() -> str:
    """The module that lists deciders, events and subscriptions, such as "config.wiring"."""
    return str(_required("EVENTSTORE_WIRING"))


@_read_once
def wake_workers() -> bool:
    """Whether writers wake the workers through Celery's broker. Without it, workers only poll."""
    return bool(getattr(settings, "EVENTSTORE_WAKE_WORKERS", True))


@_read_once
def fast_path() -> bool:
    """Whether short statements bypass psycopg's cursor (postgres/prepared.py). Off, psycopg runs
    them all: slower, and independent of psycopg's internals."""
    return bool(getattr(settings, "EVENTSTORE_FAST_PATH", True))


def event_bus() -> str:
    """The dotted name of the event bus class that publishes integration events."""
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
    """How long the outbox keeps rows that every subscription has passed; the setting is in
    seconds."""
    return timedelta(seconds=getattr(settings, "EVENTSTORE_OUTBOX_RETENTION", 0))


@_read_once
def query_database() -> str:
    """The alias of the database that queries read from, for instance a replica."""
    return str(getattr(settings, "EVENTSTORE_QUERY_DATABASE", "default"))


@_read_once
def longest_wait() -> float:
    """The maximum of seconds that a query waits for a read model, even if the client asks for
    more."""
    return float(getattr(settings, "EVENTSTORE_LONGEST_WAIT", 5.0))


@_read_once
def remembered_bytes() -> int:
    """The maximum size of a process's cache of states, in bytes of MessagePack."""
    return int(getattr(settings, "EVENTSTORE_REMEMBERED_BYTES", 16 << 20))


@_read_once
def page_bytes() -> int:
    """The maximum size of a page of events or rows, in bytes of JSON. A single event or row may be
    larger."""
    return int(getattr(settings, "EVENTSTORE_PAGE_BYTES", 1 << 20))


@_read_once
def most_waiting() -> int:
    """How many requests of one process may wait for a read model at once; each blocks a thread."""
    return int(getattr(settings, "EVENTSTORE_MOST_WAITING", 4))


@_read_once
def most_waiting_per_user() -> int:
    """How many of them may belong to one user."""
    return int(getattr(settings, "EVENTSTORE_MOST_WAITING_PER_USER", 2))


@_read_once
def idempotency_key_required() -> bool:
    """Whether a command without an Idempotency-Key is rejected."""
    return bool(getattr(settings, "EVENTSTORE_IDEMPOTENCY_KEY_REQUIRED", False))


@_read_once
def response_retention() -> timedelta:
    """How long responses are stored under their idempotency keys; the setting is in days."""
    return timedelta(days=getattr(settings, "EVENTSTORE_RESPONSE_RETENTION", 30))


@_read_once
def max_message_bytes() -> int:
    """The maximum size of a message, in bytes of JSON. Store larger data in a file and its name in
    the message."""
    return int(getattr(settings, "EVENTSTORE_MAX_MESSAGE_BYTES", 1 << 20))


def inbox_retention() -> timedelta:
    """How long a message from outside is recognized as a repeat; longer than any sender repeats it.
    The setting is in days."""
    return timedelta(days=getattr(settings, "EVENTSTORE_INBOX_RETENTION", 30))


def allow_unsafe_database() -> bool:
    """Whether to run on a server that may lose acknowledged writes, for instance for a
    benchmark."""
    return bool(getattr(settings, "EVENTSTORE_ALLOW_UNSAFE_DATABASE", False))


def guarantees() -> str:
    """The dotted name of a tuple of eventstore.guarantees.Guarantee, for the project's own
    guarantees; or empty."""
    return str(getattr(settings, "EVENTSTORE_GUARANTEES", ""))


def environment() -> str:
    """The name of the environment in the console's banner, such as "production"; empty for no
    banner."""
    return str(getattr(settings, "EVENTSTORE_ENVIRONMENT", ""))


def live_poll() -> float:
    """Seconds between two polls of the log by a WebSocket server."""
    return float(getattr(settings, "EVENTSTORE_LIVE_POLL", 0.05))


def live_recheck() -> float:
    """Seconds between two checks of whether the connected users still have permission."""
    return float(getattr(settings, "EVENTSTORE_LIVE_RECHECK", 5.0))


def live_sockets() -> int:
    """How many sockets a process serves at once; further clients are asked to retry."""
    return int(getattr(settings, "EVENTSTORE_LIVE_SOCKETS", 1000))


def live_sockets_per_user() -> int:
    """How many of them may belong to one user."""
    return int(getattr(settings, "EVENTSTORE_LIVE_SOCKETS_PER_USER", 20))


def schemas() -> Path:
    """The folder of the published schemas; only manage.py schemas uses it."""
    return Path(_required("EVENTSTORE_SCHEMAS"))


def _required(name: str) -> Any:
    try:
        return getattr(settings, name)
    except AttributeError:
        raise ImproperlyConfigured(
            f"The event store needs the setting {name}; see eventstore/settings.py."
        ) from None
