"""Read a topic of Kafka back: all partitions, committed messages only, in batches."""

import time
from binascii import unhexlify
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from eventstore.messaging import brokers
from eventstore.messaging.consumers.kafka import cause, examined, naming_problems, problem
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.kafka.administration import Options
from eventstore.messaging.transport import BrokerUnreachable, TopicMissing, Transport

from . import records
from .attributes import layout, position
from .broker_side import Access, Message
from .log_side import Fingerprint, Fingerprinter

# So few stay in the cache of the processor: 5,000 take a seventh longer.
BATCH = 1000
POLL_SECONDS, SILENT_SECONDS, METADATA_SECONDS = 0.5, 30.0, 10.0
READER = {
    "group.id": "eventstore.reconcile",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    "queued.min.messages": 50_000,
    # Of all that is fetched ahead.
    "queued.max.messages.kbytes": 32 << 10,
    "fetch.wait.max.ms": 50,
    "reconnect.backoff.max.ms": 1_000,
    "socket.timeout.ms": 6_000,
}
POSITION, ID = "ce_position", "event-id"
# Of a position in its header, at most so many; of an id.
MOST_DIGITS, ID_BYTES = 18, 16


def access(relay: str, broker: str, topic: str, queue: str) -> Access:
    client = Options(**brokers.options(broker)).client
    return Access(
        fingerprinter=lambda: fingerprinter(brokers.transport(broker, relay)),
        reader=lambda: TopicReader(topic, client),
    )


def fingerprinter(transport: Transport) -> Fingerprinter:
    """Of what this transport would send."""

    def fingerprint(envelope: Envelope) -> Fingerprint:
        _, value, key, headers, _ = transport.prepare(envelope)
        found = layout(tuple(headers))
        # PostgreSQL stores no NUL, so that the texts joined by it are equal only if each is.
        joined = "\0".join(found.ours(tuple(headers.values()))).encode()
        return Fingerprint(hash((key, value, found.names, joined)), key)

    return fingerprint


def read_back(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> tuple[bytes, int, int]:
    """Id, digest and position of a message; the digest is that of `fingerprinter` if the message is
    as it was sent. Python's own hash (SipHash with a key of the process), which takes a tenth of
    the time of a cryptographic one, is the same in the processes that this one forks."""
    flat: tuple[Any, ...] = tuple(chain.from_iterable(headers))
    names, values = flat[::2], flat[1::2]
    if None in values:
        values = tuple(each or b"" for each in values)
    found = layout(names)
    places = found.places
    place = values[places[POSITION]] if POSITION in places else b""
    if place.isdigit() and len(place) <= MOST_DIGITS:
        at = int(place) or records.NO_POSITION
    else:
        at = position(_text(place), value)
    try:
        id_ = unhexlify(values[places[ID]].replace(b"-", b""))
    except (KeyError, ValueError):
        id_ = b""
    if len(id_) != ID_BYTES:
        id_ = records.id_of(_text(values[places[ID]]) if ID in places else "")
    if found.is_repeated:
        names, values = zip(*sorted({*zip(names, values, strict=True)}), strict=True)
        found = layout(names)
    return id_, hash((key, value, found.names, b"\0".join(found.ours(values)))), at


class TopicReader:
    """See broker_side.Reader. next, ends: partition -> offset."""

    others = 0

    def __init__(self, topic: str, client: Mapping[str, Any]) -> None:
        self.place = topic
        self.errors: list[KafkaError] = []
        settings = {**READER, **examined(client), "error_cb": self.errors.append, "log_level": 0}
        with naming_problems():
            self.is_compacted = _is_compacted(topic, client)
            self.client = Consumer(settings)
            try:
                found = self.client.list_topics(topic, timeout=METADATA_SECONDS).topics[topic]
            except KafkaException as error:
                raise problem(cause(self.errors, error.args[0])) from error
            if found.error is not None:
                raise TopicMissing(f"no topic {topic}; create it: manage.py brokers --create")
            self.partitions = len(found.partitions)
            begins = {each: self._bounds(each) for each in range(self.partitions)}
        self.next = {each: low for each, (low, _) in begins.items()}
        self.shortened: Sequence[int] = [each for each, (low, _) in begins.items() if low > 0]
        self.total = sum(high - low for low, high in begins.values())
        self.client.assign(
            [TopicPartition(topic, each, offset) for each, offset in self.next.items()]
        )

    def read(self) -> Iterator[list[Message]]:
        with naming_problems():
            ends = {each: self._bounds(each)[1] for each in self.next}
        unread = {each for each, end in ends.items() if self.next[each] < end}
        heard_at = time.monotonic()
        while unread:
            with naming_problems():
                found = self.client.consume(BATCH, POLL_SECONDS)
            if found:
                heard_at = time.monotonic()
                yield self._received(found)
                unread = {each for each in unread if self.next[each] < ends[each]}
            elif time.monotonic() - heard_at > SILENT_SECONDS:
                why = self.errors[-1].str() if self.errors else "nothing arrives"
                raise BrokerUnreachable(f"{self.place}: {why}")

    def close(self) -> None:
        self.client.close()

    def _received(self, found: Sequence[Any]) -> list[Message]:
        messages, next_ = [], self.next
        for each in found:
            error, partition, offset = each.error(), each.partition(), each.offset()
            if error is None:
                next_[partition] = offset + 1
                id_, digest, place = read_back(each.key(), each.value(), each.headers() or ())
                messages.append(Message(id_, digest, partition, offset, place))
            elif error.code() == KafkaError._PARTITION_EOF:
                # Behind the marks of transactions, which are offsets without a message.
                next_[partition] = max(next_[partition], offset)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                # Retention has deleted what was to be read next.
                next_[partition] = self._bounds(partition)[0]
                self.shortened = sorted({*self.shortened, partition})
                self.client.seek(TopicPartition(self.place, partition, next_[partition]))
            else:
                raise problem(error)
        return messages

    def _bounds(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self.place, partition)
        low, high = self.client.get_watermark_offsets(place, timeout=METADATA_SECONDS)
        return low, high


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _is_compacted(topic: str, client: Mapping[str, Any]) -> bool:
    """False where our role may not read it."""
    admin = AdminClient({**client, "log_level": 0})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        (found,) = admin.describe_configs([resource], request_timeout=METADATA_SECONDS).values()
        policy = found.result()["cleanup.policy"].value
    except KafkaException:
        return False
    return "compact" in str(policy)
