"""RabbitMQ as a broker of relays: at least once, by publisher confirms.

A batch is published, then its confirms are read until each delivery tag is acknowledged, refused or
returned. kombu is not used: it returns normally for a message that no queue takes, and may wait for
a confirm for ever.
"""

import logging
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import AMQPError, NotFound, PreconditionFailed

from . import amqp_frames, cloudevents
from .cloudevents import Origin
from .consumers import rabbitmq as consumers
from .consumers.rabbitmq import RabbitMQDeadLetters, RabbitMQSource
from .event_bus import Envelope
from .transport import (
    Batch,
    BrokerBlocked,
    BrokerProblem,
    BrokerState,
    BrokerUnreachable,
    QueueDiffers,
    QueueState,
    Reading,
    Sent,
    TooLarge,
    TopicMissing,
    Unroutable,
)

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
# Without a frame for so long, the socket is dead: the kernel says so at most after this.
SILENT_SECONDS = 10.0
# So many bytes are written to the socket at once.
CHUNK_BYTES = 64 << 10
# At most so many messages wait for their confirms, so that neither side's buffers fill up.
MOST_PENDING = 2000
TAP = "domain-events.tap"
TAP_ARGUMENTS = {"x-max-length": 10_000, "x-overflow": "drop-head"}


class Options(NamedTuple):
    url: str
    ca: str = ""
    exchange: str = "domain-events"
    exchange_type: str = "topic"
    max_message_bytes: int = 16 << 20


class Prepared(NamedTuple):
    """A message. properties: as AMQP encodes them."""

    id: str
    key: str
    properties: bytes
    body: bytes


class RabbitMQ:
    """The connection and channel of one relay."""

    def __init__(self, relay: str, origin: Origin, options: Mapping[str, Any]) -> None:
        self.relay, self.origin, self.options = relay, origin, Options(**options)
        self.link: Link | None = None

    @classmethod
    def without_transactions(
        cls, name: str, origin: Origin, options: Mapping[str, Any]
    ) -> "RabbitMQ":
        return cls(name, origin, options)

    @staticmethod
    def administration(options: Mapping[str, Any]) -> "RabbitMQAdministration":
        return RabbitMQAdministration(Options(**options))

    @staticmethod
    def source(broker: str, reading: Reading, options: Mapping[str, Any]) -> RabbitMQSource:
        with _naming_problems():
            connection = connect(
                Options(**options), reading.consumer, heartbeat=consumers.HEARTBEAT_SECONDS
            )
        try:
            return RabbitMQSource(reading.consumer, broker, connection)
        except BrokerProblem:
            connection.collect()
            raise

    @staticmethod
    def dead_letters(options: Mapping[str, Any]) -> RabbitMQDeadLetters:
        with _naming_problems():
            connection = connect(Options(**options), "dead letters")
            return RabbitMQDeadLetters(connection, Options(**options).exchange)

    def prepare(self, envelope: Envelope) -> Prepared:
        properties, headers, value = cloudevents.for_amqp(envelope, self.origin)
        if len(value) > self.options.max_message_bytes:
            limit = f"at most {self.options.max_message_bytes} are sent"
            raise TooLarge(
                f"{envelope.type} has {len(value)} bytes; {limit} (RABBITMQ_MAX_MESSAGE_BYTES)"
            )
        return Prepared(
            id=properties["message_id"],
            key=routing_key(envelope.type),
            properties=amqp_frames.properties(properties, headers),
            body=value,
        )

    def send(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        if not any(each.prepared for each in batch.messages):
            return Sent(frozenset(each.position for each in batch.messages))
        if self.link is None:
            self.link = Link(self.options, self.relay)
        link = self.link
        problem = self._publish(link, batch, meanwhile)
        if problem is not None:
            self.close()
        return self._outcome(link, batch, problem)

    def close(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            link.drop()

    def _publish(
        self, link: "Link", batch: Batch, meanwhile: Callable[[], None]
    ) -> BrokerProblem | None:
        """Why not all was confirmed."""
        link.begin()
        try:
            for position, messages in batch.messages:
                for message in messages:
                    link.publish(message, position, batch.deadline)
            link.flush(batch.deadline)
            meanwhile()
            link.confirm(0, batch.deadline)
        except BrokerProblem as problem:
            return problem
        except NotFound as error:
            return TopicMissing(f"{error}; declare it: manage.py brokers --create")
        except (AMQPError, OSError) as error:
            return BrokerUnreachable(f"{type(error).__name__}: {error}")
        return None

    def _outcome(self, link: "Link", batch: Batch, problem: BrokerProblem | None) -> Sent:
        counts = dict.fromkeys((each.position for each in batch.messages), 0)
        for position in link.confirmed:
            counts[position] += 1
        refused = {
            position: Unroutable(f"no queue is bound to {key} of {self.options.exchange}")
            for position, key in link.returned.items()
        }
        acknowledged = frozenset(
            each.position
            for each in batch.messages
            if counts[each.position] == len(each.prepared) and each.position not in refused
        )
        if problem is None and link.nacked:
            problem = BrokerBlocked("the broker refused messages (basic.nack)")
        return Sent(acknowledged, refused, problem)


class Link:
    """A connection with a channel in confirm mode. pending: delivery tag -> position, of what was
    written and of what will be. unwritten: frames of the last messages."""

    def __init__(self, options: Options, name: str) -> None:
        self.options = options
        self.pending: dict[int, int] = {}
        self.by_message_id: dict[str, int] = {}
        self.unwritten: list[bytes] = []
        self.unwritten_bytes = 0
        self.blocked = False
        self.tag = 0
        self.begin()
        with _naming_problems():
            self.connection = connect(
                options, name, on_blocked=self._on_blocked, on_unblocked=self._on_unblocked
            )
            self.channel = self.connection.channel()
            self.channel.exchange_declare(options.exchange, options.exchange_type, passive=True)
            self.channel.confirm_select()
            self.channel.events["basic_ack"].add(self._on_ack)
            self.channel.events["basic_nack"].add(self._on_nack)
            self.channel.events["basic_return"].add(self._on_return)

    def begin(self) -> None:
        """A new batch."""
        self.pending.clear()
        self.by_message_id.clear()
        self.confirmed: list[int] = []
        self.returned: dict[int, str] = {}
        self.nacked: set[int] = set()

    def publish(self, message: Prepared, position: int, deadline: float) -> None:
        self.tag += 1
        self.pending[self.tag] = position
        self.by_message_id[message.id] = position
        self.unwritten += amqp_frames.publish(
            self.channel.channel_id,
            self.options.exchange,
            message.key,
            message.properties,
            message.body,
            self.connection.frame_max,
        )
        self.unwritten_bytes += len(message.properties) + len(message.body)
        if self.unwritten_bytes > CHUNK_BYTES:
            self.flush(deadline)
            if len(self.pending) > MOST_PENDING:
                self.confirm(MOST_PENDING // 2, deadline)

    def flush(self, deadline: float) -> None:
        """Write what is unwritten, after what the broker has written: it may be blocked."""
        self._read_waiting()
        if self.blocked:
            self._wait_until_unblocked(deadline)
        frames = b"".join(self.unwritten)
        self.unwritten.clear()
        self.unwritten_bytes = 0
        with self.connection.transport.having_timeout(CONNECT_SECONDS):
            self.connection.transport.write(frames)

    def confirm(self, most: int, deadline: float) -> None:
        """Wait until at most so many are pending."""
        while len(self.pending) > most:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._silence()
            with suppress(TimeoutError):
                self.connection.drain_events(timeout=min(left, 1.0))

    def _wait_until_unblocked(self, deadline: float) -> None:
        while self.blocked:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._silence()
            with suppress(TimeoutError):
                self.connection.drain_events(timeout=min(left, 1.0))

    def _read_waiting(self) -> None:
        """All that has arrived."""
        with suppress(TimeoutError):
            while True:
                self.connection.drain_events(timeout=0)

    def _silence(self) -> BrokerProblem:
        if self.blocked:
            return BrokerBlocked("the broker has an alarm: short of memory or disk")
        return BrokerUnreachable(f"{len(self.pending)} messages were not confirmed in time")

    def drop(self) -> None:
        """Close the socket; nothing is waited for."""
        with suppress(AMQPError, OSError, AttributeError):
            self.connection.collect()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self.confirmed += self._settled(tag, multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self.nacked.update(self._settled(tag, multiple))

    def _settled(self, tag: int, multiple: bool) -> list[int]:
        # Tags are pending in their order.
        tags = list(takewhile(tag.__ge__, self.pending)) if multiple else [tag]
        return [self.pending.pop(each) for each in tags if each in self.pending]

    def _on_return(self, error: Exception, exchange: str, key: str, message: Any) -> None:
        """It comes before the acknowledgement of the same message."""
        position = self.by_message_id.get(message.properties.get("message_id", ""))
        if position is not None:
            self.returned[position] = key

    def _on_blocked(self, reason: str) -> None:
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False


class RabbitMQAdministration:
    """Declares exchange and queues, and says which are missing or declared otherwise."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def missing(
        self, relays: Mapping[str, Iterable[str]], readings: Iterable[Reading] = ()
    ) -> list[str]:
        """The exchange and the queues of consumers that do not exist."""
        with self._connection() as connection:
            return self._missing(connection, readings, self._queues(connection, readings))

    def state(
        self,
        relays: Mapping[str, Iterable[str]],
        readings: Sequence[Reading],
        read: Iterable[tuple[str, int]],
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
        self,
        relays: Mapping[str, Iterable[str]],
        readings: Iterable[Reading] = (),
        *,
        tap: bool = False,
    ) -> list[str]:
        """Declare what is missing, and bind the consumers' queues. tap: also a queue that keeps the
        last messages of all, so that none is unroutable. Raises QueueDiffers."""
        missing = self.missing(relays, readings)
        with self._channel() as channel:
            channel.exchange_declare(
                self.options.exchange, self.options.exchange_type, durable=True, auto_delete=False
            )
            if tap:
                channel.queue_declare(TAP, durable=True, auto_delete=False, arguments=TAP_ARGUMENTS)
                channel.queue_bind(TAP, self.options.exchange, "events.#")
            for reading in readings:
                self._declare_queue(channel, reading)
        return missing

    def _declare_queue(self, channel: Any, reading: Reading) -> None:
        bindings = consumers.bindings(self.options.exchange_type, reading.topics, reading.types)
        consumers.declare(channel, reading.consumer, self.options.exchange, bindings)

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
    def _channel(self) -> Iterator[Any]:
        with self._connection() as connection:
            yield connection.channel()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        with _naming_problems():
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
    connection = amqp.Connection(
        f"{parts.hostname}:{parts.port or (5671 if secure else 5672)}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=SILENT_SECONDS,
        write_timeout=SILENT_SECONDS,
        ssl=_tls(options, str(parts.hostname)) if secure else False,
        client_properties={"connection_name": name},
        **more,
    )
    connection.connect()
    return connection


def routing_key(type_: str) -> str:
    return f"events.{type_}"


def _tls(options: Options, host: str) -> dict[str, Any]:
    if options.ca:
        # The error of ssl does not name the file.
        Path(options.ca).open("rb").close()
    return {
        "ca_certs": options.ca or ssl.get_default_verify_paths().cafile,
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": host,
    }


@contextmanager
def _naming_problems() -> Iterator[None]:
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
