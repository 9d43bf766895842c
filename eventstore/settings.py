"""The Django settings of the event store. Only EVENTSTORE_WIRING is required."""

from collections.abc import Callable, Mapping, Sequence
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


def schema_registry() -> dict[str, Any]:
    """The schema registry that consumers ask, as the options of confluent_kafka's
    SchemaRegistryClient. Empty: the one in this database."""
    return dict(getattr(settings, "EVENTSTORE_SCHEMA_REGISTRY", {}))


def registry_address() -> str:
    """Where other systems reach our schema registry: the `dataschema` of events in Avro follows it.
    Empty: they name no schema."""
    return str(getattr(settings, "EVENTSTORE_REGISTRY_ADDRESS", ""))


def cloudevents_mode() -> str:
    """ "binary": attributes as headers beside the value; "structured": all in one JSON text."""
    return str(getattr(settings, "EVENTSTORE_CLOUDEVENTS_MODE", "binary"))


def cdc_slot() -> str:
    """The name of the replication slot that Debezium reads from, and of its publication in
    PostgreSQL."""
    return str(getattr(settings, "EVENTSTORE_CDC_SLOT", "orders_outbox"))


def cdc_connect_url() -> str:
    """The REST interface of Kafka Connect, to look at the connector; empty: it is not looked at."""
    return str(getattr(settings, "EVENTSTORE_CDC_CONNECT_URL", ""))


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
    return int(getattr(settings, "EVENTSTORE_PAGE_BYTES", 1 << 18))


@_read_once
def most_waiting() -> int:
    """How many requests of one process may wait for a read model at once; each blocks a thread."""
    return int(getattr(settings, "EVENTSTORE_MOST_WAITING", 4))


@_read_once
def most_waiting_per_user() -> int:
    """How many of them may belong to one user."""
    return int(getattr(settings, "EVENTSTORE_MOST_WAITING_PER_USER", 2))


def command_status_url() -> str:
    """Where the status of a deferred command is queried, if another process or host serves it; its
    id and a slash follow. Empty: the address in this project's URLs (eventstore.api.urls)."""
    return str(getattr(settings, "EVENTSTORE_COMMAND_STATUS_URL", ""))


def problem_types() -> str:
    """What the `type` of a problem begins with; its code follows. For
    eventstore.api.problems.exception_handler."""
    return str(getattr(settings, "EVENTSTORE_PROBLEM_TYPES", "urn:problem-type:"))


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


def webhook_keys() -> Sequence[str]:
    """The keys from which the secrets of webhook endpoints are derived: the first for new secrets,
    the others for older ones. By default SECRET_KEY and SECRET_KEY_FALLBACKS."""
    keys = getattr(settings, "EVENTSTORE_WEBHOOK_KEYS", ())
    return tuple(keys) or (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def webhook_timeout() -> float:
    """Seconds for one whole call of an endpoint, from the look-up of its name to the last byte that
    is read of its response."""
    return float(getattr(settings, "EVENTSTORE_WEBHOOK_TIMEOUT", 15.0))


def webhook_calls() -> int:
    """How many calls of endpoints one worker process has in progress; as many more of slow ones."""
    return int(getattr(settings, "EVENTSTORE_WEBHOOK_CALLS", 16))


def webhook_calls_per_endpoint() -> int:
    """How many calls of one endpoint may be in progress, in all processes together."""
    return int(getattr(settings, "EVENTSTORE_WEBHOOK_CALLS_PER_ENDPOINT", 4))


def webhook_body_bytes() -> int:
    """The maximum size of a webhook's body. An event that needs more is not sent."""
    return int(getattr(settings, "EVENTSTORE_WEBHOOK_BODY_BYTES", 256 << 10))


def webhook_queue_bytes() -> int:
    """The bytes of bodies that may wait for one endpoint. What comes beyond is not sent."""
    return int(getattr(settings, "EVENTSTORE_WEBHOOK_QUEUE_BYTES", 16 << 20))


def webhook_retry() -> timedelta:
    """How long a delivery is attempted; the setting is in hours."""
    return timedelta(hours=getattr(settings, "EVENTSTORE_WEBHOOK_RETRY", 24.0))


def webhook_patience() -> timedelta:
    """An endpoint that has only failed for so long is disabled; the setting is in days."""
    return timedelta(days=getattr(settings, "EVENTSTORE_WEBHOOK_PATIENCE", 3.0))


def webhook_retention() -> timedelta:
    """How long deliveries are stored after they have ended; the setting is in days."""
    return timedelta(days=getattr(settings, "EVENTSTORE_WEBHOOK_RETENTION", 14.0))


def webhook_overlap() -> timedelta:
    """How long the former secret is valid after a rotation; the setting is in hours."""
    return timedelta(hours=getattr(settings, "EVENTSTORE_WEBHOOK_OVERLAP", 24.0))


def webhook_endpoints_per_owner() -> int:
    """How many endpoints one owner may have."""
    return int(getattr(settings, "EVENTSTORE_WEBHOOK_ENDPOINTS_PER_OWNER", 10))


def webhook_allow_http() -> bool:
    """Whether endpoints may have http:// addresses. For development only."""
    return bool(getattr(settings, "EVENTSTORE_WEBHOOK_ALLOW_HTTP", False))


def webhook_ports() -> Sequence[int]:
    """The ports that endpoints may have; empty for any."""
    return tuple(getattr(settings, "EVENTSTORE_WEBHOOK_PORTS", (443, 8443)))


def webhook_networks() -> Sequence[str]:
    """Networks such as 127.0.0.0/8 that endpoints may be in although they are not public."""
    return tuple(getattr(settings, "EVENTSTORE_WEBHOOK_NETWORKS", ()))


def webhook_ca_file() -> str:
    """A file with the certificates that endpoints are verified against; empty for those of
    certifi."""
    return str(getattr(settings, "EVENTSTORE_WEBHOOK_CA_FILE", ""))


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
