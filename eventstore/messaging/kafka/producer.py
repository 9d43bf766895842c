"""Apache Kafka as a broker of relays: in transactions with a checkpoint, or at least once.

In transactions each batch also writes which positions it holds to a compacted topic of the relay.
After a crash between Kafka's commit and ours the next process reads there what was published, and
publishes none of it again. Its transactional.id, the relay's name, shuts out the process before it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import (
    KafkaError,
    KafkaException,
    Producer,
)

from eventstore.messaging import client_log, cloudevents
from eventstore.messaging.cloudevents import Encoded, Origin
from eventstore.messaging.consumers.kafka import (
    KafkaDeadLetters,
    KafkaSource,
    naming_problems,
    problem,
)
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.transport import (
    Batch,
    BrokerUnreachable,
    Reading,
    Refused,
    Sent,
    TooLarge,
)
from eventstore.subscriptions import AVRO

from . import checkpoint
from .administration import MAX_MESSAGE_BYTES, KafkaAdministration, Options, topic_of
from .checkpoint import Checkpoint

logger = logging.getLogger(__name__)

# What Kafka's record format adds to a message: the header of a batch, and the lengths of one
# record; and of each header.
BATCH_OVERHEAD, RECORD_OVERHEAD, HEADER_OVERHEAD = 61, 36, 10
# No name of a header is longer, and no character in UTF-8.
LONGEST_NAME, LONGEST_CHARACTER = 40, 4
BATCH_MESSAGES = 10_000
QUEUED_MESSAGES, QUEUED_KILOBYTES = 20_000, 64 << 10
MESSAGE_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS = 7_000, 12_000
# Not the librdkafka default: only this one chooses the partition that Java's clients choose.
PARTITIONER = "murmur2_random"
PRODUCER = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": PARTITIONER,
    "allow.auto.create.topics": False,
    "message.timeout.ms": MESSAGE_TIMEOUT_MS,
    "queue.buffering.max.messages": QUEUED_MESSAGES,
    "queue.buffering.max.kbytes": QUEUED_KILOBYTES,
    "linger.ms": 2,
    "compression.type": "lz4",
    "reconnect.backoff.max.ms": 1_000,
    "topic.metadata.propagation.max.ms": 1_000,
    "socket.timeout.ms": 6_000,
}

# What becomes of the rest of a transaction when one message of it is refused.
PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


class Prepared(NamedTuple):
    """A message as the producer takes it. headers: name -> text. partition: -1 has the partitioner
    choose."""

    topic: str
    value: bytes
    key: bytes
    headers: Any
    partition: int = -1


class Kafka:
    """The producer of one relay."""

    def __init__(self, relay: str, origin: Origin, options: Mapping[str, Any]) -> None:
        self.relay, self.origin, self.options = relay, origin, Options(**options)
        self.errors: list[KafkaError] = []
        self.topics: dict[str, int] = {}
        # token: of the last batch that this client has published. careful: of the batch that is
        # sent message by message, as the broker found one of it too large.
        # examined: of the batch of which it is known which positions were published before.
        self.token = self.careful = self.examined = 0
        self.published: frozenset[int] = frozenset()
        self.producer: Producer | None = None

    @classmethod
    def without_transactions(cls, name: str, origin: Origin, options: Mapping[str, Any]) -> "Kafka":
        return cls(name, origin, {**options, "transactions": False})

    @staticmethod
    def administration(options: Mapping[str, Any]) -> KafkaAdministration:
        return KafkaAdministration(Options(**options))

    @staticmethod
    def source(broker: str, reading: Reading, options: Mapping[str, Any]) -> KafkaSource:
        return KafkaSource(reading.consumer, broker, reading.topics, Options(**options).client)

    @staticmethod
    def dead_letters(options: Mapping[str, Any]) -> KafkaDeadLetters:
        return KafkaDeadLetters(Options(**options).client)

    def prepare(self, envelope: Envelope) -> Prepared:
        value = None
        if envelope.encoding == AVRO:
            from eventstore.messaging import avro  # its libraries are an extra of their own

            value = avro.encode(envelope)
        encoded = cloudevents.for_kafka(envelope, self.origin, value)
        topic, headers = topic_of(envelope.type), encoded.headers
        key = cloudevents.aggregate_id(envelope.subject).encode()
        if topic not in self.topics:
            self._find_topics({topic})
        ours, its = self.options.max_message_bytes, self.topics[topic]
        # More than its size, and faster to compute.
        most = LONGEST_NAME * len(headers) + LONGEST_CHARACTER * sum(map(len, headers.values()))
        if _size(encoded, key, most) > min(ours, its or ours):
            texts = sum(len(name) + len(value.encode()) for name, value in headers.items())
            size = _size(encoded, key, texts)
            if size > ours:
                limit = f"the producer sends at most {ours} (KAFKA_MAX_MESSAGE_BYTES)"
                raise TooLarge(f"{envelope.type} has {size} bytes; {limit}")
            if its and size > its:
                limit = f"the topic {topic} takes at most {its} (max.message.bytes)"
                raise TooLarge(f"{envelope.type} has {size} bytes; {limit}")
        return Prepared(topic, encoded.value, key, headers)

    def send(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        with naming_problems():
            if self.careful not in (0, batch.token):
                self.close()
                self.careful = 0
            if self.options.transactions:
                self._find_topics({checkpoint.topic(self.relay)})
                return self._send_in_transaction(batch, meanwhile)
            sent = self._send(InFlight(self._client(), batch, self.errors), meanwhile)
            if sent.again or sent.problem is not None:
                self.close()
            return sent

    def close(self) -> None:
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.purge()
            producer.poll(0)

    def _send_in_transaction(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        is_next = self.token == batch.settled == batch.token - 1
        done = Sent(frozenset(each.position for each in batch.messages))
        if not any(each.prepared for each in batch.messages):
            self.token = batch.token if is_next else 0
            return done
        published = self._continue(batch, is_next)
        fresh = [each for each in batch.messages if each.position not in published]
        if not fresh:
            self.token = batch.token
            return done
        rest = batch._replace(messages=fresh)
        held = Checkpoint(batch.mark, batch.token, tuple(each.position for each in batch.messages))
        sending = InFlight(self._client(), rest, self.errors, _message(self.relay, held))
        sending.producer.begin_transaction()
        try:
            sent = self._send(sending, meanwhile)
        except KafkaException as error:
            if not error.args[0].fatal():
                sending.abort()
            raise
        if sent.problem is None and not sent.refused and not sent.again:
            sending.commit()
            self.token = batch.token
            return done
        sending.abort()
        if sent.again:  # the next client is a careful one
            self.close()
        return Sent(refused=sent.refused, problem=sent.problem, again=sent.problem is None)

    def _send(self, sending: "InFlight", meanwhile: Callable[[], None]) -> Sent:
        sending.produce()
        sending.producer.poll(0)
        meanwhile()
        sending.wait()
        sent = sending.outcome()
        if sent.refused and self.careful != sending.batch.token:
            # All messages of a record batch fail with the one that is too large.
            self.careful = sending.batch.token
            return Sent(again=True)
        return sent

    def _continue(self, batch: Batch, is_next: bool) -> frozenset[int]:
        """The positions of the batch that are published already. Known without a question while
        this client has sent the last batch, and its cursor has moved."""
        if self.producer is not None and is_next:
            self.examined, self.published = batch.token, frozenset()
            return self.published
        if self.producer is None or self.token != batch.token:
            self.close()
            self._client().init_transactions(max(batch.left, 1.0))
            self.token = batch.token
        if self.examined != batch.token:
            client = {**self.options.client, "error_cb": self.errors.append}
            newest = checkpoint.newest(self.relay, client, batch)
            self.published = newest.published(batch) if newest else frozenset()
            self.examined = batch.token
        return self.published

    def _find_topics(self, wanted: set[str]) -> None:
        """Once for each topic and client: it exists, and what it takes."""
        if new := sorted(wanted - set(self.topics)):
            with naming_problems():
                self.topics |= KafkaAdministration(self.options).limits(new)

    def _client(self) -> Producer:
        if self.producer is None:
            self.errors.clear()
            settings = {
                **PRODUCER,
                **self.options.client,
                "client.id": self.relay,
                "message.max.bytes": self.options.max_message_bytes,
                # The broker compares a whole batch with the limit of its topic.
                "batch.size": min([MAX_MESSAGE_BYTES, *filter(None, self.topics.values())]),
                "batch.num.messages": 1 if self.careful else BATCH_MESSAGES,
                "error_cb": self.errors.append,
            }
            if self.options.transactions:
                settings |= {
                    "transactional.id": self.relay,
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                }
            self.producer = Producer(settings, logger=client_log.of(__name__))
        return self.producer


class InFlight:
    """A batch in flight to the broker, with its checkpoint where it is a transaction.

    errors: of the client. reports: of the messages that are delivered or have failed, each by its
    position. wanted: how many reports to expect; flush() alone says nothing about errors.
    """

    def __init__(
        self,
        producer: Producer,
        batch: Batch,
        errors: Sequence[KafkaError],
        checkpoint: Prepared | None = None,
    ) -> None:
        self.producer, self.batch, self.errors = producer, batch, errors
        self.checkpoint = checkpoint
        self.reports: list[tuple[int, KafkaError | None]] = []
        self.wanted = 0

    @property
    def silence(self) -> str:
        return self.errors[-1].str() if self.errors else "no acknowledgement in time"

    def produce(self) -> None:
        for position, messages in self.batch.messages:
            self._add(position, messages)
        if self.checkpoint is not None:
            self._add(0, [self.checkpoint])

    def _add(self, position: int, messages: Sequence[Prepared]) -> None:
        """Waits while the client's queue is full. Raises BrokerUnreachable."""

        def report(error: KafkaError | None, _: Any) -> None:
            # It only appends: producing or polling in a callback would not return.
            self.reports.append((position, error))

        for topic, value, key, headers, partition in messages:
            self.wanted += 1
            while True:
                try:
                    self.producer.produce(
                        topic, value, key, partition=partition, headers=headers, on_delivery=report
                    )
                    break
                except BufferError:
                    if self.batch.left <= 0:
                        raise BrokerUnreachable(f"the queue stays full: {self.silence}") from None
                    self.producer.poll(0.05)
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                        raise
                    report(error.args[0], None)
                    break

    def wait(self) -> None:
        seen = 0
        while len(self.reports) < self.wanted and self.batch.left > 0:
            if any(error.fatal() for error in self.errors):
                return
            self.producer.poll(0.05)
            if self.checkpoint and any(error for _, error in self.reports[seen:]):
                return  # the transaction has failed: the other messages get no report
            seen = len(self.reports)

    def outcome(self) -> Sent:
        failed = {position: error for position, error in self.reports if error is not None}
        counts = Counter(position for position, error in self.reports if error is None)
        refused: dict[int, Refused] = {
            position: TooLarge(f"{error.str()} (the broker's limit)")
            for position, error in failed.items()
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        }
        others = [
            error
            for position, error in failed.items()
            if position not in refused and not (refused and error.code() in PURGED)
        ]
        acknowledged = frozenset(
            position
            for position, messages in self.batch.messages
            if counts[position] == len(messages) and position not in failed
        )
        if others:
            return Sent(acknowledged, refused, problem(others[0]))
        if len(self.reports) < self.wanted and not refused:
            return Sent(acknowledged, refused, BrokerUnreachable(self.silence))
        return Sent(acknowledged, refused)

    def commit(self) -> None:
        """Where the outcome stays unknown, the next client reads it from the checkpoint."""
        while True:
            try:
                return self.producer.commit_transaction(max(self.batch.left, 0.5))
            except KafkaException as error:
                cause = error.args[0]
                if cause.txn_requires_abort():
                    self.abort()
                    raise
                if not cause.retriable() or self.batch.left <= 0:
                    raise

    def abort(self) -> None:
        """abort_transaction() waits for delivery reports, which only poll() fetches."""
        self.producer.purge()
        while len(self.producer) and self.batch.left > 0:
            self.producer.poll(0.05)
        self.producer.abort_transaction(max(self.batch.left, 1.0))


def _message(relay: str, held: Checkpoint) -> Prepared:
    return Prepared(checkpoint.topic(relay), held.value, relay.encode(), {}, partition=0)


def _size(encoded: Encoded, key: bytes, texts: int) -> int:
    """texts: bytes of the names and values of headers."""
    overhead = BATCH_OVERHEAD + RECORD_OVERHEAD + HEADER_OVERHEAD * len(encoded.headers)
    return overhead + len(key) + len(encoded.value) + texts
