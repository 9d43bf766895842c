"""Apache Kafka as a broker of relays: in transactions with a checkpoint, or at least once.

In transactions each batch also writes which positions it holds to a compacted topic of the relay.
After a crash between Kafka's commit and ours the next process reads there what was published, and
publishes none of it again. Its transactional.id, the relay's name, shuts out the process before it.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from eventstore.log import epochs

from . import cloudevents
from .cloudevents import Encoded, Origin
from .consumers.dead_letters import SUFFIX
from .consumers.kafka import (
    KafkaDeadLetters,
    KafkaSource,
    cause,
    examined,
    naming_problems,
    problem,
)
from .event_bus import Envelope
from .transport import (
    Batch,
    BrokerState,
    BrokerUnreachable,
    Outgoing,
    Reading,
    Refused,
    Sent,
    TooLarge,
    TopicMissing,
)

logger = logging.getLogger(__name__)

# What Kafka's record format adds to a message: the header of a batch, and the lengths of one
# record; and of each header.
BATCH_OVERHEAD, RECORD_OVERHEAD, HEADER_OVERHEAD = 61, 36, 10
# No name of a header is longer, and no character in UTF-8.
LONGEST_NAME, LONGEST_CHARACTER = 40, 4
MAX_MESSAGE_BYTES = 1_000_000
BATCH_MESSAGES = 10_000
QUEUED_MESSAGES, QUEUED_KILOBYTES = 20_000, 64 << 10
MESSAGE_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS = 7_000, 12_000
METADATA_SECONDS = 5.0
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
CHECKPOINTS = {"cleanup.policy": "compact", "segment.ms": "600000"}
CHECKPOINT_TAIL = 4
CHECKPOINT_READER = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
}
# librdkafka's offset for "so many before the end", and how many the doctor reads for how long.
OFFSET_TAIL, CHECKPOINTS_READ, CHECKPOINT_SECONDS = -2000, 16, 3.0

# What becomes of the rest of a transaction when one message of it is refused.
PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)

Report = tuple[int, KafkaError | None]
Reporter = Callable[[KafkaError | None, Any], None]


class Options(NamedTuple):
    """client: what librdkafka is given as it is, such as bootstrap.servers and sasl.*."""

    client: Mapping[str, Any]
    transactions: bool = True
    max_message_bytes: int = MAX_MESSAGE_BYTES
    partitions: int = 6
    replication: int = -1


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
    def administration(options: Mapping[str, Any]) -> "KafkaAdministration":
        return KafkaAdministration(Options(**options))

    @staticmethod
    def source(broker: str, reading: Reading, options: Mapping[str, Any]) -> KafkaSource:
        return KafkaSource(reading.consumer, broker, reading.topics, Options(**options).client)

    @staticmethod
    def dead_letters(options: Mapping[str, Any]) -> KafkaDeadLetters:
        return KafkaDeadLetters(Options(**options).client)

    def prepare(self, envelope: Envelope) -> Prepared:
        encoded = cloudevents.for_kafka(envelope, self.origin)
        topic = topic_of(envelope.type)
        key = cloudevents.aggregate_id(envelope.subject).encode()
        if topic not in self.topics:
            self._find_topics({topic})
        ours, its = self.options.max_message_bytes, self.topics[topic]
        if _most(encoded, key) > min(ours, its or ours):
            size = _size(encoded, key)
            if size > ours:
                limit = f"the producer sends at most {ours} (KAFKA_MAX_MESSAGE_BYTES)"
                raise TooLarge(f"{envelope.type} has {size} bytes; {limit}")
            if its and size > its:
                limit = f"the topic {topic} takes at most {its} (max.message.bytes)"
                raise TooLarge(f"{envelope.type} has {size} bytes; {limit}")
        return Prepared(topic, encoded.value, key, encoded.headers)

    def send(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        with naming_problems():
            if self.careful not in (0, batch.token):
                self.close()
                self.careful = 0
            if self.options.transactions:
                self._find_topics({checkpoint_topic(self.relay)})
                return self._send_in_transaction(batch, meanwhile)
            return self._send(batch, self._client(), meanwhile)

    def close(self) -> None:
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.purge()
            producer.poll(0)

    def _send_in_transaction(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        is_next = self.token == batch.settled == batch.token - 1
        if not any(each.prepared for each in batch.messages):
            self.token = batch.token if is_next else 0
            return Sent(frozenset(each.position for each in batch.messages))
        published = self._continue(batch, is_next)
        producer = self._client()
        fresh = [each for each in batch.messages if each.position not in published]
        if not fresh:
            self.token = batch.token
            return Sent(frozenset(each.position for each in batch.messages))
        producer.begin_transaction()
        try:
            checkpoint = self._checkpoint(batch)
            sent = self._send(batch._replace(messages=fresh), producer, meanwhile, checkpoint)
        except KafkaException as error:
            if not error.args[0].fatal():
                _abort(producer, batch)
            raise
        if sent.problem is None and not sent.refused and not sent.again:
            self._commit(producer, batch)
            self.token = batch.token
            return Sent(frozenset(each.position for each in batch.messages))
        _abort(producer, batch)
        if sent.again:  # the next client is a careful one
            self.close()
        return Sent(refused=sent.refused, problem=sent.problem, again=sent.problem is None)

    def _send(
        self,
        batch: Batch,
        producer: Producer,
        meanwhile: Callable[[], None],
        checkpoint: Prepared | None = None,
    ) -> Sent:
        """Produce all, wait for each delivery report, and count them: flush() alone says nothing
        about errors."""
        reports: list[Report] = []
        wanted = self._produce(batch, producer, checkpoint, reports)
        producer.poll(0)
        meanwhile()
        self._wait(batch, producer, reports, wanted)
        sent = _outcome(batch, reports, wanted, self._why_silent())
        if sent.refused and self.careful != batch.token:
            # All messages of a record batch fail with the one that is too large.
            self.careful = batch.token
            sent = Sent(again=True)
        if not self.options.transactions and (sent.again or sent.problem is not None):
            self.close()
        return sent

    def _produce(
        self, batch: Batch, producer: Producer, checkpoint: Prepared | None, reports: list[Report]
    ) -> int:
        """Returns how many delivery reports to expect."""
        checkpoints = [Outgoing(0, [checkpoint])] if checkpoint else []
        wanted = 0
        for position, messages in (*batch.messages, *checkpoints):
            report = _reporter(reports, position)
            for message in messages:
                wanted += 1
                try:
                    _produce(producer, message, report)
                except (BufferError, KafkaException) as error:
                    if refused := self._produce_again(producer, message, report, batch, error):
                        reports.append((position, refused))
        return wanted

    def _wait(
        self, batch: Batch, producer: Producer, reports: Sequence[Report], wanted: int
    ) -> None:
        seen = 0
        while len(reports) < wanted and _left(batch) > 0 and not self._fatal():
            producer.poll(0.05)
            if self.options.transactions and any(error for _, error in reports[seen:]):
                return  # the transaction has failed: the other messages get no report
            seen = len(reports)

    def _produce_again(
        self,
        producer: Producer,
        message: Prepared,
        report: Reporter,
        batch: Batch,
        error: Exception,
    ) -> KafkaError | None:
        """Wait while the client's queue is full. Returns the error of a message that the client
        does not take."""
        while isinstance(error, BufferError):
            if _left(batch) <= 0:
                raise BrokerUnreachable(f"the queue stays full: {self._why_silent()}") from None
            producer.poll(0.05)
            try:
                _produce(producer, message, report)
                return None
            except (BufferError, KafkaException) as next_error:
                error = next_error
        refused: KafkaError = error.args[0]
        if refused.code() != KafkaError.MSG_SIZE_TOO_LARGE:
            raise error
        return refused

    def _continue(self, batch: Batch, is_next: bool) -> frozenset[int]:
        """The positions of the batch that are published already. Known without a question while
        this client has sent the last batch, and its cursor has moved."""
        if self.producer is not None and is_next:
            self.examined, self.published = batch.token, frozenset()
            return self.published
        if self.producer is None or self.token != batch.token:
            self.close()
            self._client().init_transactions(max(_left(batch), 1.0))
            self.token = batch.token
        if self.examined != batch.token:
            self.examined, self.published = batch.token, self._published(batch)
        return self.published

    def _published(self, batch: Batch) -> frozenset[int]:
        checkpoint = self._last_checkpoint(batch)
        # A crash of PostgreSQL begins an epoch, but the batch before it is still published. No
        # position is used in two epochs.
        is_ours = checkpoint.get("mark") in {each.mark for each in epochs.history()}
        if not is_ours or checkpoint.get("token", 0) <= batch.settled:
            return frozenset()
        found = frozenset(checkpoint["positions"])
        logger.info("%s: %s messages were published already", self.relay, len(found))
        return found

    def _checkpoint(self, batch: Batch) -> Prepared:
        positions = [each.position for each in batch.messages]
        value = json.dumps(
            {"mark": batch.mark, "token": batch.token, "positions": positions},
            separators=(",", ":"),
        )
        topic, key = checkpoint_topic(self.relay), self.relay.encode()
        return Prepared(topic, value.encode(), key, {}, partition=0)

    def _last_checkpoint(self, batch: Batch) -> dict[str, Any]:
        """The newest committed one; searched backwards, as transactions leave markers behind."""
        consumer = Consumer(
            {
                **self.options.client,
                **CHECKPOINT_READER,
                "group.id": f"relay.{self.relay}",
                "error_cb": self.errors.append,
            }
        )
        try:
            place = TopicPartition(checkpoint_topic(self.relay), 0)
            low, high = consumer.get_watermark_offsets(place, timeout=max(_left(batch), 1.0))
            tail, start = CHECKPOINT_TAIL, high
            while start > low:
                start, tail = max(high - tail, low), tail * 8
                place.offset = start if start > low else OFFSET_BEGINNING
                consumer.assign([place])
                if found := _newest(consumer, batch.deadline):
                    checkpoint: dict[str, Any] = json.loads(found)
                    return checkpoint
            return {}
        finally:
            consumer.close()

    def _commit(self, producer: Producer, batch: Batch) -> None:
        while True:
            try:
                return producer.commit_transaction(max(_left(batch), 0.5))
            except KafkaException as error:
                cause = error.args[0]
                if cause.txn_requires_abort():
                    _abort(producer, batch)
                    raise
                if not cause.retriable() or _left(batch) <= 0:
                    # The outcome is unknown: the next client reads it from the checkpoint.
                    raise

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
            self.producer = Producer(settings, logger=logger)
        return self.producer

    def _fatal(self) -> bool:
        return any(error.fatal() for error in self.errors)

    def _why_silent(self) -> str:
        return self.errors[-1].str() if self.errors else "no acknowledgement in time"


class KafkaAdministration:
    """Creates topics, and says which are missing."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.errors: list[KafkaError] = []
        settings: dict[str, Any] = {"log_level": 0, "error_cb": self.errors.append}
        with naming_problems():
            self.admin = AdminClient({**examined(options.client), **settings})

    def missing(
        self, relays: Mapping[str, Iterable[str]], readings: Iterable[Reading] = ()
    ) -> list[str]:
        """The topics that relays and consumers need and that do not exist. relays: name -> types
        published."""
        return sorted(set(self._needed(relays, readings)) - set(self._topics()))

    def state(
        self,
        relays: Mapping[str, Iterable[str]],
        readings: Iterable[Reading],
        read: Iterable[tuple[str, int]],
    ) -> BrokerState:
        """By two requests and, with transactions, one client that reads the ends of checkpoints.
        read: the partitions whose ends are wanted. Raises BrokerProblem."""
        needed = self._needed(relays, readings)
        with naming_problems():
            found = self.admin.list_topics(timeout=METADATA_SECONDS).topics
            counts = {name: len(each.partitions) for name, each in found.items()}
            wanted = [TopicPartition(*each) for each in read if each[1] < counts.get(each[0], 0)]
            ends = self.admin.list_offsets(
                {each: OffsetSpec.latest() for each in wanted},  # type: ignore[no-untyped-call]
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=METADATA_SECONDS,
            )
            return BrokerState(
                missing=sorted(set(needed) - set(counts)),
                partitions={
                    name: counts[name]
                    for name in sorted(_published(relays))
                    if name in counts and counts[name] != self.options.partitions
                },
                ends={
                    (each.topic, each.partition): end.result(METADATA_SECONDS).offset
                    for each, end in ends.items()
                },
                newest=self._newest([each for each in relays if checkpoint_topic(each) in counts]),
            )

    def _newest(self, relays: Sequence[str]) -> dict[str, int]:
        """Of the relays whose last checkpoint is near the end of its topic: transactions leave
        markers behind."""
        if not relays or not self.options.transactions:
            return {}
        reader = Consumer({**self.options.client, **CHECKPOINT_READER, "group.id": "doctor"})
        found: dict[str, int] = {}
        ended, deadline = 0, time.monotonic() + CHECKPOINT_SECONDS
        try:
            reader.assign(
                [
                    TopicPartition(checkpoint_topic(each), 0, OFFSET_TAIL - CHECKPOINTS_READ)
                    for each in relays
                ]
            )
            while ended < len(relays) and time.monotonic() < deadline:
                message = reader.poll(0.1)
                if message is None:
                    continue
                if (error := message.error()) is None:
                    positions = json.loads(message.value() or b"{}").get("positions", ())
                    found[(message.key() or b"").decode()] = max(positions, default=0)
                elif error.code() in (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET):
                    ended += 1
                else:
                    raise KafkaException(error)
        finally:
            reader.close()
        return found

    def create(
        self,
        relays: Mapping[str, Iterable[str]],
        readings: Iterable[Reading] = (),
        *,
        tap: bool = False,
    ) -> list[str]:
        """Create those that are missing; returns their names. Existing ones are left alone."""
        needed = self._needed(relays, readings)
        missing = self.missing(relays, readings)
        new = [
            NewTopic(name, partitions, self.options.replication, config=dict(config))
            for name, (partitions, config) in needed.items()
            if name in missing
        ]
        with naming_problems():
            for future in self.admin.create_topics(new).values() if new else ():
                future.result(METADATA_SECONDS * 2)
        return missing

    def limits(self, topics: Sequence[str]) -> dict[str, int]:
        """The size that each topic takes. Raises TopicMissing."""
        known = self._topics()
        if missing := [name for name in topics if name not in known]:
            raise TopicMissing(
                f"no topic {', '.join(missing)}; create it: manage.py brokers --create"
            )
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        try:
            found = self.admin.describe_configs(resources, request_timeout=METADATA_SECONDS)
            described = {each.name: future.result() for each, future in found.items()}
        except KafkaException as error:  # it may be forbidden; then the broker's answer counts
            logger.info("limits of topics are unknown: %s", error)
            return dict.fromkeys(topics, 0)
        return {name: int(each["max.message.bytes"].value) for name, each in described.items()}

    def _topics(self) -> Mapping[str, Any]:
        """Raises BrokerUnreachable with the cause, where list_topics() knows a time-out alone."""
        try:
            found: Mapping[str, Any] = self.admin.list_topics(timeout=METADATA_SECONDS).topics
        except KafkaException as error:
            self.admin.poll(0)
            raise problem(cause(self.errors, error.args[0])) from error
        return found

    def _needed(
        self, relays: Mapping[str, Iterable[str]], readings: Iterable[Reading]
    ) -> dict[str, tuple[int, Mapping[str, str]]]:
        topics = _published(relays)
        for reading in readings:
            topics |= {*reading.topics, *(topic + SUFFIX for topic in reading.topics)}
        needed: dict[str, tuple[int, Mapping[str, str]]] = {
            name: (self.options.partitions, {}) for name in sorted(topics)
        }
        if self.options.transactions:
            needed |= {checkpoint_topic(relay): (1, CHECKPOINTS) for relay in relays}
        return needed


def _published(relays: Mapping[str, Iterable[str]]) -> set[str]:
    """The topics of relays; those of other systems have as many partitions as these want."""
    return {topic_of(type_) for types in relays.values() for type_ in types}


@cache
def topic_of(type_: str) -> str:
    return f"events.{type_.partition('.')[0]}"


def checkpoint_topic(relay: str) -> str:
    """One for each relay: another's open transaction would hide the newest checkpoint."""
    return f"relays.{relay.partition('@')[0]}"


def _produce(producer: Producer, message: Prepared, report: Reporter) -> None:
    producer.produce(
        message.topic,
        message.value,
        message.key,
        partition=message.partition,
        headers=message.headers,
        on_delivery=report,
    )


def _reporter(reports: list[Report], position: int) -> Reporter:
    """Callbacks only append: producing or polling inside of one would not return."""

    def report(error: KafkaError | None, _: Any) -> None:
        reports.append((position, error))

    return report


def _outcome(batch: Batch, reports: Sequence[Report], wanted: int, silence: str) -> Sent:
    failed = {position: error for position, error in reports if error is not None}
    counts: dict[int, int] = {}
    for position, error in reports:
        counts[position] = counts.get(position, 0) + (error is None)
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
        each.position
        for each in batch.messages
        if counts.get(each.position, 0) == len(each.prepared) and each.position not in failed
    )
    if others:
        return Sent(acknowledged, refused, problem(others[0]))
    if len(reports) < wanted and not refused:
        return Sent(acknowledged, refused, BrokerUnreachable(silence))
    return Sent(acknowledged, refused)


def _newest(consumer: Consumer, deadline: float) -> bytes | None:
    """The last value up to the end of the partition."""
    value: bytes | None = None
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is None:
            continue
        error = message.error()
        if error is None:
            value = message.value()
        elif error.code() == KafkaError._PARTITION_EOF:
            return value
        else:
            raise KafkaException(error)
    raise BrokerUnreachable("the checkpoint could not be read in time")


def _abort(producer: Producer, batch: Batch) -> None:
    """abort_transaction() waits for delivery reports, which only poll() fetches."""
    producer.purge()
    while len(producer) and _left(batch) > 0:
        producer.poll(0.05)
    producer.abort_transaction(max(_left(batch), 1.0))


def _most(encoded: Encoded, key: bytes) -> int:
    """More than its size, and faster to compute."""
    texts = sum(map(len, encoded.headers.values()))
    headers = LONGEST_CHARACTER * texts + len(encoded.headers) * (LONGEST_NAME + HEADER_OVERHEAD)
    return BATCH_OVERHEAD + RECORD_OVERHEAD + len(key) + len(encoded.value) + headers


def _size(encoded: Encoded, key: bytes) -> int:
    headers = sum(
        len(name) + len(value.encode()) + HEADER_OVERHEAD for name, value in encoded.headers.items()
    )
    return BATCH_OVERHEAD + RECORD_OVERHEAD + len(key) + len(encoded.value) + headers


def _left(batch: Batch) -> float:
    return batch.deadline - time.monotonic()
