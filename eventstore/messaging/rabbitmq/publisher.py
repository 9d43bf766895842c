"""RabbitMQ as a broker of relays: at least once, by publisher confirms.

A batch is published, then its confirms are read until each delivery tag is acknowledged, refused or
returned. kombu is not used: it returns normally for a message that no queue takes, and may wait for
a confirm for ever.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

from amqp.exceptions import AMQPError, NotFound

from eventstore.messaging import cloudevents
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.consumers import rabbitmq as consumers
from eventstore.messaging.consumers.rabbitmq import RabbitMQDeadLetters, RabbitMQSource
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.transport import (
    Batch,
    BrokerBlocked,
    BrokerProblem,
    BrokerUnreachable,
    Reading,
    Sent,
    TooLarge,
    TopicMissing,
    Unroutable,
)

from . import frames
from .administration import (
    CONNECT_SECONDS,
    Options,
    RabbitMQAdministration,
    connect,
    naming_problems,
)

# So many bytes are written to the socket at once.
CHUNK_BYTES = 64 << 10
# At most so many messages wait for their confirms, so that neither side's buffers fill up.
MOST_PENDING = 2000


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
    def administration(options: Mapping[str, Any]) -> RabbitMQAdministration:
        return RabbitMQAdministration(Options(**options))

    @staticmethod
    def source(broker: str, reading: Reading, options: Mapping[str, Any]) -> RabbitMQSource:
        with naming_problems():
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
        with naming_problems():
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
            properties=frames.properties(properties, headers),
            body=value,
        )

    def send(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        if not any(each.prepared for each in batch.messages):
            return Sent(frozenset(each.position for each in batch.messages))
        if self.link is None:
            self.link = Link(self.options, self.relay)
        link: Link = self.link
        problem: BrokerProblem | None = None
        link.begin()
        try:
            for position, messages in batch.messages:
                for message in messages:
                    link.publish(message, position, batch.deadline)
            link.flush(batch.deadline)
            meanwhile()
            link.confirm(0, batch.deadline)
        except BrokerProblem as found:
            problem = found
        except NotFound as error:
            problem = TopicMissing(f"{error}; declare it: manage.py brokers --create")
        except (AMQPError, OSError) as error:
            problem = BrokerUnreachable(f"{type(error).__name__}: {error}")
        if problem is not None:
            self.close()
        return link.outcome(batch, problem)

    def close(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            link.drop()


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
        with naming_problems():
            self.connection = connect(
                options,
                name,
                on_blocked=partial(self._on_alarm, True),
                on_unblocked=partial(self._on_alarm, False),
            )
            self.channel = self.connection.channel()
            self.channel.exchange_declare(options.exchange, options.exchange_type, passive=True)
            self.channel.confirm_select()
            self.channel.events["basic_ack"].add(partial(self._settle, True))
            self.channel.events["basic_nack"].add(partial(self._settle, False))
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
        channel, most = self.channel.channel_id, self.connection.frame_max
        key, found, body = message.key, message.properties, message.body
        self.unwritten += frames.publish(channel, self.options.exchange, key, found, body, most)
        self.unwritten_bytes += len(found) + len(body)
        if self.unwritten_bytes > CHUNK_BYTES:
            self.flush(deadline)
            if len(self.pending) > MOST_PENDING:
                self.confirm(MOST_PENDING // 2, deadline)

    def flush(self, deadline: float) -> None:
        """Write what is unwritten, after all that has arrived is read: the broker may have blocked
        the connection."""
        with suppress(TimeoutError):
            while True:
                self.connection.drain_events(timeout=0)
        self._read_while(lambda: self.blocked, deadline)
        frames = b"".join(self.unwritten)
        self.unwritten.clear()
        self.unwritten_bytes = 0
        with self.connection.transport.having_timeout(CONNECT_SECONDS):
            self.connection.transport.write(frames)

    def confirm(self, most: int, deadline: float) -> None:
        """Wait until at most so many are pending."""
        self._read_while(lambda: len(self.pending) > most, deadline)

    def outcome(self, batch: Batch, problem: BrokerProblem | None) -> Sent:
        """Of the batch. problem: why not all of it was confirmed."""
        counts = Counter(self.confirmed)
        refused = {
            position: Unroutable(f"no queue is bound to {key} of {self.options.exchange}")
            for position, key in self.returned.items()
        }
        acknowledged = frozenset(
            position
            for position, messages in batch.messages
            if counts[position] == len(messages) and position not in refused
        )
        if problem is None and self.nacked:
            problem = BrokerBlocked("the broker refused messages (basic.nack)")
        return Sent(acknowledged, refused, problem)

    def drop(self) -> None:
        """Close the socket; nothing is waited for."""
        with suppress(AMQPError, OSError, AttributeError):
            self.connection.collect()

    def _read_while(self, condition: Callable[[], bool], deadline: float) -> None:
        while condition():
            left = deadline - time.monotonic()
            if left <= 0:
                if self.blocked:
                    raise BrokerBlocked("the broker has an alarm: short of memory or disk")
                raise BrokerUnreachable(f"{len(self.pending)} messages were not confirmed in time")
            with suppress(TimeoutError):
                self.connection.drain_events(timeout=min(left, 1.0))

    def _settle(self, acknowledged: bool, tag: int, multiple: bool) -> None:
        # Tags are pending in their order.
        tags = list(takewhile(tag.__ge__, self.pending)) if multiple else [tag]
        positions = [self.pending.pop(each) for each in tags if each in self.pending]
        if acknowledged:
            self.confirmed += positions
        else:
            self.nacked.update(positions)

    def _on_return(self, error: Exception, exchange: str, key: str, message: Any) -> None:
        """It comes before the acknowledgement of the same message."""
        position = self.by_message_id.get(message.properties.get("message_id", ""))
        if position is not None:
            self.returned[position] = key

    def _on_alarm(self, blocked: bool, reason: str = "") -> None:
        self.blocked = blocked


def routing_key(type_: str) -> str:
    return f"events.{type_}"
