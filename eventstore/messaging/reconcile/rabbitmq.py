"""Read a queue of RabbitMQ back: what our tap keeps, or what another queue holds.

The tap is a stream (x-queue-type): reading it removes nothing. A queue of another kind is read
without acknowledging, so that all of it returns to its place when the connection is closed.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from amqp.exceptions import AMQPError

from eventstore.messaging import brokers, cloudevents, rabbitmq
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.consumers import rabbitmq as consumers
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.rabbitmq.administration import Options, connect, naming_problems
from eventstore.messaging.transport import BrokerProblem, BrokerUnreachable, TopicMissing

from . import records
from .attributes import is_ours, position
from .broker_side import Access, Message
from .log_side import Fingerprint, Fingerprinter

TAP_BYTES = 1 << 30
TAP_ARGUMENTS = {"x-queue-type": "stream", "x-max-length-bytes": TAP_BYTES}
PREFETCH, ACKNOWLEDGED = 2000, 500
POLL_SECONDS, SILENT_SECONDS = 0.5, 10.0
# The last chunk of a stream comes at once.
LAST_SECONDS = 1.5
# Of the properties those that are compared; the time is among the attributes.
PROPERTIES = ("content_type", "delivery_mode", "message_id", "correlation_id", "type", "app_id")
POSITION = "ce-position"


class QueueInUse(BrokerProblem):
    """Readers of the queue hold messages, which cannot be seen then."""


def access(relay: str, broker: str, topic: str, queue: str) -> Access:
    """queue: "" for our tap."""
    options = Options(**brokers.options(broker))

    def reader() -> "QueueReader":
        try:
            return QueueReader(queue or tap_of(relay), options, f"{topic}.")
        except TopicMissing as problem:
            remedy = "" if queue else f"; declare it: manage.py reconcile_broker {relay} --tap"
            raise TopicMissing(f"{problem.__cause__}{remedy}") from None

    return Access(fingerprinter=lambda: fingerprinter(brokers.origin()), reader=reader)


def tap_of(relay: str) -> str:
    return f"{relay}.tap"


def fingerprinter(origin: Origin) -> Fingerprinter:
    def fingerprint(envelope: Envelope) -> Fingerprint:
        properties, headers, value = cloudevents.for_amqp(envelope, origin)
        digest = _digest(rabbitmq.routing_key(envelope.type), value, headers, properties)
        return Fingerprint(digest, cloudevents.aggregate_id(envelope.subject).encode())

    return fingerprint


def declare_tap(relay: str, broker: str, topic: str, types: Sequence[str]) -> str:
    """A queue that keeps what is published from now on, up to TAP_BYTES; returns its name. Raises
    BrokerProblem."""
    options, name = Options(**brokers.options(broker)), tap_of(relay)
    with naming_problems():
        connection = connect(options, "reconcile")
        try:
            channel = connection.channel()
            channel.queue_declare(name, durable=True, auto_delete=False, arguments=TAP_ARGUMENTS)
            for key, arguments in consumers.bindings(options.exchange_type, [topic], types):
                channel.queue_bind(name, options.exchange, key, arguments=arguments)
        finally:
            connection.collect()
    return name


class QueueReader:
    """See broker_side.Reader. prefix: of the routing keys of the publication; a queue may have
    messages of others. The beginning of a queue counts as deleted: it holds what was published
    since it was declared."""

    partitions = 0
    is_compacted = False

    def __init__(self, queue: str, options: Options, prefix: str) -> None:
        self.place, self.prefix = queue, prefix
        self.shortened: Sequence[int] = (0,)
        self.arrived: list[Any] = []
        # received, total: messages; of a stream, offsets.
        self.received = self.total = self.others = 0
        with naming_problems():
            self.connection = connect(options, "reconcile")
            try:
                self.is_stream = not self._consume()
                if self.is_stream:
                    self.total = self._end_of_stream()
                    self._consume_stream("first")
            except BaseException:
                self.connection.collect()
                raise

    def read(self) -> Iterator[list[Message]]:
        """The first time as many messages as there were; then what has come since."""
        is_first = self.received < self.total
        silence = SILENT_SECONDS if is_first else POLL_SECONDS
        heard_at = time.monotonic()
        while time.monotonic() - heard_at < silence:
            if self._drained():
                heard_at = time.monotonic()
            is_end = is_first and self._reached() >= self.total
            if is_end or len(self.arrived) >= ACKNOWLEDGED:
                yield self._taken()
            if is_end:
                return
        if is_first:
            raise BrokerUnreachable(f"{self.place}: only {self.received} of {self.total} came")
        yield self._taken()

    def close(self) -> None:
        with suppress(AMQPError, OSError, AttributeError):
            self.connection.collect()

    def _consume(self) -> bool:
        """False for a stream, which is asked otherwise."""
        self.channel = self.connection.channel()
        found = self.channel.queue_declare(self.place, passive=True)
        self.total = found.message_count
        try:
            self._begin({})
        except AMQPError as error:
            if "prefetch" not in str(error):
                raise
            return False
        if found.consumer_count:
            raise QueueInUse(f"{self.place} has {found.consumer_count} readers; stop them first")
        return True

    def _consume_stream(self, begin: str) -> None:
        self.channel = self.connection.channel()
        self.channel.basic_qos(0, PREFETCH, False)
        self._begin({"x-stream-offset": begin})

    def _end_of_stream(self) -> int:
        """The offset after the last message; a stream does not say how many it has. 0 for an empty
        one."""
        self._consume_stream("last")
        began = heard_at = time.monotonic()
        while time.monotonic() - heard_at < LAST_SECONDS:
            if self._drained():
                heard_at = time.monotonic()
            if time.monotonic() - began > SILENT_SECONDS:
                break  # it grows without a pause
        end = _offset(self.arrived[-1]) + 1 if self.arrived else 0
        self.channel.close()
        self.arrived.clear()
        return end

    def _begin(self, arguments: dict[str, Any]) -> None:
        self.channel.basic_consume(
            self.place, callback=self.arrived.append, no_ack=False, arguments=arguments
        )

    def _drained(self) -> bool:
        """Whether something has come."""
        before = len(self.arrived)
        with naming_problems(), suppress(TimeoutError):
            self.connection.drain_events(timeout=POLL_SECONDS)
        return len(self.arrived) > before

    def _reached(self) -> int:
        if self.is_stream and self.arrived:
            return _offset(self.arrived[-1]) + 1
        return self.received + len(self.arrived)

    def _taken(self) -> list[Message]:
        reached, arrived = self._reached(), list(self.arrived)
        self.arrived.clear()
        if self.is_stream and arrived:
            self.channel.basic_ack(arrived[-1].delivery_info["delivery_tag"], multiple=True)
        messages = []
        for number, each in enumerate(arrived, self.received):
            key, properties = each.delivery_info["routing_key"], each.properties
            if key.startswith(self.prefix):
                offset = _offset(each) if self.is_stream else number
                given = properties.get("application_headers") or {}
                headers = {name: value for name, value in given.items() if is_ours(name)}
                body = each.body.encode() if isinstance(each.body, str) else bytes(each.body)
                digest = _digest(key, body, headers, properties)
                place = position(str(headers.get(POSITION, "")), body)
                id_ = records.id_of(str(properties.get("message_id", "")))
                messages.append(Message(id_, digest, 0, offset, place))
        self.received = reached
        self.others += len(arrived) - len(messages)
        return messages


def _offset(message: Any) -> int:
    """Of a stream."""
    return int(message.properties["application_headers"]["x-stream-offset"])


def _digest(
    key: str, value: bytes, headers: Mapping[str, Any], properties: Mapping[str, Any]
) -> int:
    compared = [(name, str(properties.get(name, "")).encode()) for name in PROPERTIES]
    return records.digest(
        key.encode(),
        value,
        [*compared, *((name, str(text).encode()) for name, text in headers.items())],
    )
