"""Read a queue of RabbitMQ for one consumer: store what has come, then acknowledge it.

The queue is a quorum queue of the consumer's own, with a single active consumer, so that messages
stay in order; a delivery limit and a dead-letter exchange keep what we could never store.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import amqp
from amqp.exceptions import AMQPError, NotFound

from eventstore.messages import BrokerMessage
from eventstore.messaging.transport import BrokerUnreachable, TopicMissing

from . import intake
from .dead_letters import SUFFIX, DeadLetter
from .intake import Partition

logger = logging.getLogger(__name__)

# How many messages may be on their way to us, and how many are stored in one commit.
PREFETCH, BATCH_MESSAGES, BATCH_BYTES = 1000, 1000, 4 << 20
GATHER_SECONDS = 0.002
# Ask the broker whether the connection lives, when nothing has come for so long.
SILENT_SECONDS = 10.0
# Between two counts of the messages in the queue.
COUNT_SECONDS = 1.0
# The broker gives the queue to another reader when nothing has come from us for twice as long.
HEARTBEAT_SECONDS = 10
DELIVERY_LIMIT = 20
CONFIRM_SECONDS = 5.0


class RabbitMQSource:
    """connection: open, with a heartbeat. unacknowledged: delivery tag and message, in the order of
    arrival."""

    def __init__(self, consumer: str, broker: str, connection: Any) -> None:
        self.consumer, self.broker, self.connection = consumer, broker, connection
        self.queue = Partition(consumer, 0)
        intake.begin(consumer, [self.queue])
        self.unacknowledged: list[tuple[int, BrokerMessage]] = []
        self.size = 0
        self.heard_at = self.counted_at = self.beaten_at = time.monotonic()
        self.cancelled: list[str] = []
        self.held = False
        try:
            self.channel = connection.channel()
            self.channel.basic_qos(0, PREFETCH, False)
            self.channel.basic_consume(
                consumer, callback=self._arrived, on_cancel=self.cancelled.append, no_ack=False
            )
        except NotFound as error:
            raise TopicMissing(f"{error}; declare it: manage.py brokers --create") from error
        except (AMQPError, OSError) as error:
            raise BrokerUnreachable(f"{type(error).__name__}: {error}") from error

    def read(self, seconds: float) -> int:
        try:
            if time.monotonic() - self.beaten_at > HEARTBEAT_SECONDS / 2:
                self.beaten_at = time.monotonic()
                self.connection.send_heartbeat()
            stored = 0
            if self.held:
                time.sleep(seconds)
            else:
                self._gather(seconds)
                if arrived := [message for _, message in self.unacknowledged]:
                    stored = intake.store_from_queue(self.consumer, self.queue, arrived)
                    self.channel.basic_ack(self.unacknowledged[-1][0], multiple=True)
                    self.unacknowledged.clear()
                    self.size = 0
            if time.monotonic() - self.counted_at >= COUNT_SECONDS:
                self.counted_at = time.monotonic()
                # For operators: how many messages wait in the queue.
                found = self.channel.queue_declare(self.consumer, passive=True)
                waiting = found.message_count + len(self.unacknowledged)
                intake.note_length(self.consumer, self.queue, waiting)
            return stored
        except (AMQPError, OSError) as error:
            raise BrokerUnreachable(f"{type(error).__name__}: {error}") from error

    def hold(self, held: bool) -> None:
        """The broker sends no more than PREFETCH messages ahead."""
        self.held = held

    def close(self) -> None:
        with suppress(AMQPError, OSError, AttributeError):
            self.connection.collect()

    def _gather(self, seconds: float) -> None:
        wait = 0.0 if self.unacknowledged else seconds
        while len(self.unacknowledged) < BATCH_MESSAGES and self.size < BATCH_BYTES:
            if self.cancelled:
                raise BrokerUnreachable(f"the queue {self.consumer} was deleted or moved")
            try:
                self.connection.drain_events(timeout=max(wait, GATHER_SECONDS))
            except TimeoutError:
                break
            wait = 0.0
        if time.monotonic() - self.heard_at > SILENT_SECONDS:
            self.heard_at = time.monotonic()
            # A round trip: a half-open connection fails here.
            self.channel.basic_qos(0, PREFETCH, False)

    def _arrived(self, message: amqp.Message) -> None:
        self.heard_at = time.monotonic()
        properties, value = dict(message.properties), _bytes(message.body)
        headers = properties.pop("application_headers", None) or {}
        received = BrokerMessage(
            broker=self.broker,
            topic=message.delivery_info.get("routing_key", ""),
            key=None,
            value=value,
            headers=tuple((name.encode(), _bytes(each)) for name, each in headers.items()),
            properties=json.dumps(properties, default=_text).encode(),
        )
        self.unacknowledged.append((message.delivery_tag, received))
        self.size += len(value or b"")


def declare(
    channel: Any, consumer: str, exchange: str, bindings: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """The consumer's queue and its dead letters. Raises amqp's PreconditionFailed where the queue
    exists with other arguments."""
    letters, dead = dead_letter_exchange(exchange), dead_letter_queue(consumer)
    channel.exchange_declare(letters, "direct", durable=True, auto_delete=False)
    declare_queue(channel, dead, exchange)
    channel.queue_bind(dead, letters, consumer)
    declare_queue(channel, consumer, exchange)
    for key, arguments in bindings:
        channel.queue_bind(consumer, exchange, key, arguments=dict(arguments))


def declare_queue(channel: Any, name: str, exchange: str) -> None:
    """The queue of a consumer, or of its dead letters."""
    is_dead = name.endswith(SUFFIX)
    arguments = {"x-queue-type": "quorum"} if is_dead else queue_arguments(name, exchange)
    channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)


def queue_arguments(consumer: str, exchange: str) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": dead_letter_exchange(exchange),
        "x-dead-letter-routing-key": consumer,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def bindings(
    exchange_type: str, topics: Sequence[str], types: Sequence[str]
) -> list[tuple[str, dict[str, Any]]]:
    """Routing key and arguments of each binding. A direct or headers exchange needs the names of
    the types; the others deliver whole topics, so that a message that comes too early is
    noticed."""
    match exchange_type:
        case "direct":
            return [(f"events.{type_}", {}) for type_ in types]
        case "headers":
            return [("", {"x-match": "all", "event-type": type_}) for type_ in types]
        case "fanout":
            return [("", {})]
    return [(f"{topic}.#", {}) for topic in topics]


def dead_letter_exchange(exchange: str) -> str:
    return f"{exchange}.dlx"


def dead_letter_queue(consumer: str) -> str:
    return consumer + SUFFIX


def _bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    try:
        return json.dumps(value, default=_text).encode()
    except RecursionError:
        return b"a table that is nested too deep"


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


class RabbitMQDeadLetters:
    """Writes to the dead-letter queue of the consumer, through its dead-letter exchange."""

    def __init__(self, connection: Any, exchange: str) -> None:
        self.connection, self.exchange = connection, dead_letter_exchange(exchange)
        self.channel = connection.channel()
        self.channel.confirm_select()

    def send(self, consumer: str, letters: Sequence[DeadLetter]) -> None:
        try:
            for letter in letters:
                stored = json.loads(letter.message.properties or b"{}")
                headers: dict[str, Any] = {}
                for name, text in letter.message.headers:
                    headers[name.decode()] = text
                    with suppress(UnicodeDecodeError):
                        headers[name.decode()] = text and text.decode()
                headers |= letter.headers | {"dlq-consumer": consumer}
                body = letter.message.value or b""
                self.channel.basic_publish_confirm(
                    amqp.Message(body, application_headers=headers, **stored),
                    self.exchange,
                    consumer,
                    timeout=CONFIRM_SECONDS,
                )
        except (AMQPError, OSError) as error:
            raise BrokerUnreachable(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        with suppress(AMQPError, OSError, AttributeError):
            self.connection.collect()
