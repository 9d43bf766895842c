"""Connections to RabbitMQ; its exchange and queues, what declares them, and looks at them for the
doctor."""

import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import AMQPError, NotFound, PreconditionFailed

from eventstore.messaging.consumers import rabbitmq as consumers
from eventstore.messaging.transport import (
    BrokerState,
    BrokerUnreachable,
    QueueDiffers,
    QueueState,
    Reading,
    Relays,
    TopicMissing,
)

CONNECT_SECONDS = 5.0
# Without a frame for so long, the socket is dead: the kernel says so at most after this.
SILENT_SECONDS = 10.0
TAP = "domain-events.tap"
TAP_ARGUMENTS = {"x-max-length": 10_000, "x-overflow": "drop-head"}


class Options(NamedTuple):
    url: str
    ca: str = ""
    exchange: str = "domain-events"
    exchange_type: str = "topic"
    max_message_bytes: int = 16 << 20


class RabbitMQAdministration:
    """Declares exchange and queues, and says which are missing or declared otherwise."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def missing(self, relays: Relays, readings: Iterable[Reading] = ()) -> list[str]:
        """The exchange and the queues of consumers that do not exist."""
        with self._connection() as connection:
            return self._missing(connection, readings, self._queues(connection, readings))

    def state(
        self, relays: Relays, readings: Sequence[Reading], read: Iterable[tuple[str, int]]
    ) -> BrokerState:
        """By one connection; declares nothing. Raises BrokerProblem."""
        with self._connection() as connection:
            queues = self._queues(connection, readings)
            return BrokerState(
                missing=self._missing(connection, readings, queues),
                differing=self._differing(connection, queues),
                queues=queues,
            )

    def declared_otherwise(self, readings: Iterable[Reading]) -> list[str]:
        """The consumers' queues that exist with other arguments than ours; each with what the
        broker says."""
        with self._connection() as connection:
            return self._differing(connection, self._queues(connection, readings))

    def create(
        self, relays: Relays, readings: Iterable[Reading] = (), *, tap: bool = False
    ) -> list[str]:
        """Declare what is missing, and bind the consumers' queues. tap: also a queue that keeps the
        last messages of all, so that none is unroutable. Raises QueueDiffers."""
        missing = self.missing(relays, readings)
        with self._connection() as connection:
            channel = connection.channel()
            channel.exchange_declare(
                self.options.exchange, self.options.exchange_type, durable=True, auto_delete=False
            )
            if tap:
                channel.queue_declare(TAP, durable=True, auto_delete=False, arguments=TAP_ARGUMENTS)
                channel.queue_bind(TAP, self.options.exchange, "events.#")
            for reading in readings:
                kind = self.options.exchange_type
                bindings = consumers.bindings(kind, reading.topics, reading.types)
                consumers.declare(channel, reading.consumer, self.options.exchange, bindings)
        return missing

    def _missing(
        self, connection: Any, readings: Iterable[Reading], queues: Mapping[str, QueueState]
    ) -> list[str]:
        found = []
        try:
            connection.channel().exchange_declare(
                self.options.exchange, self.options.exchange_type, passive=True
            )
        except NotFound:
            found.append(self.options.exchange)
        return found + [name for name in _queues_of(readings) if name not in queues]

    def _queues(self, connection: Any, readings: Iterable[Reading]) -> dict[str, QueueState]:
        """Of consumers and of their dead letters; without those that do not exist."""
        found = {}
        for name in _queues_of(readings):
            with suppress(NotFound):
                # A channel of its own: NotFound closes it.
                each = connection.channel().queue_declare(name, passive=True)
                found[name] = QueueState(each.message_count, each.consumer_count)
        return found

    def _differing(self, connection: Any, existing: Iterable[str]) -> list[str]:
        found = []
        for name in existing:
            try:
                consumers.declare_queue(connection.channel(), name, self.options.exchange)
            except PreconditionFailed as error:
                found.append(f"{name}: {error}")
        return found

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        with naming_problems():
            connection = connect(self.options, "brokers")
            try:
                yield connection
            finally:
                connection.collect()


def _queues_of(readings: Iterable[Reading]) -> Iterator[str]:
    for each in readings:
        yield each.consumer
        yield consumers.dead_letter_queue(each.consumer)


def connect(options: Options, name: str, **more: Any) -> Any:
    """A connection that is open. more: of amqp.Connection. Raises what amqp raises."""
    parts = urlsplit(options.url)
    secure = parts.scheme == "amqps"
    tls: dict[str, Any] = {}
    if secure:
        if options.ca:
            # The error of ssl does not name the file.
            Path(options.ca).open("rb").close()
        tls = {
            "ca_certs": options.ca or ssl.get_default_verify_paths().cafile,
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": str(parts.hostname),
        }
    connection = amqp.Connection(
        f"{parts.hostname}:{parts.port or (5671 if secure else 5672)}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=SILENT_SECONDS,
        write_timeout=SILENT_SECONDS,
        ssl=tls if secure else False,
        client_properties={"connection_name": name},
        **more,
    )
    connection.connect()
    return connection


@contextmanager
def naming_problems() -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise TopicMissing(f"{error}; declare it: manage.py brokers --create") from error
    except PreconditionFailed as error:
        raise QueueDiffers(
            f"{error}; delete it when it is empty, or rename the consumer"
        ) from error
    except (AMQPError, OSError) as error:
        raise BrokerUnreachable(f"{type(error).__name__}: {error}") from error
