"""Read topics of Kafka for one consumer, as a member of a consumer group.

Where to go on is read from PostgreSQL when a partition is assigned, and moves in the commit that
stores the messages. What is committed to Kafka only feeds its own tools. A member that has lost a
partition without knowing it cannot move the offset, so nothing of its batch is stored.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from eventstore.messages import BrokerMessage
from eventstore.messaging.transport import BrokerProblem, BrokerUnreachable, TopicMissing

from . import intake
from .dead_letters import SUFFIX, DeadLetter
from .intake import OffsetMoved, Partition, Range, Seen

logger = logging.getLogger(__name__)

BATCH_MESSAGES, BATCH_BYTES = 1000, 4 << 20
# Waiting for a batch to fill up costs latency; what has arrived is taken.
GATHER_SECONDS = 0.002
COMMIT_SECONDS = 1.0
# A partition behind its end from which nothing comes for so long gets a new client.
STALLED_SECONDS = 30.0
GROUP = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A hole in the topic is reported; it is never jumped over.
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
    "max.poll.interval.ms": 120_000,
    "topic.metadata.refresh.interval.ms": 10_000,
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 100,
    "queued.max.messages.kbytes": 16 << 10,
    "reconnect.backoff.max.ms": 1_000,
    "socket.timeout.ms": 6_000,
}
PRODUCE_SECONDS = 8.0
DEAD_LETTERS = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "allow.auto.create.topics": False,
    "message.timeout.ms": 7_000,
    "message.max.bytes": 16 << 20,
    "topic.metadata.propagation.max.ms": 1_000,
    "socket.timeout.ms": 6_000,
}
MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
# Of credentials and certificates. The client tries again and again, and nothing else says so.
REFUSED_LOGIN = (KafkaError._AUTHENTICATION, KafkaError._SSL)


class KafkaSource:
    """next: partition -> the offset that is read next. holed: partitions whose next messages the
    topic no longer has. reached: partition -> where its end was when it was reached, behind the
    marks of transactions."""

    def __init__(
        self, consumer: str, broker: str, topics: Sequence[str], client: Mapping[str, Any]
    ) -> None:
        self.consumer, self.broker = consumer, broker
        self.next: dict[Partition, int] = {}
        self.reached: dict[Partition, int] = {}
        self.holed: set[Partition] = set()
        self.held = False
        self.errors: list[KafkaError] = []
        self.committed_at = self.moved_at = time.monotonic()
        settings = {**GROUP, **examined(client), "group.id": consumer, "client.id": consumer}
        with naming_problems():
            self.client = Consumer({**settings, "error_cb": self.errors.append}, logger=logger)
        self.client.subscribe(
            list(topics), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
        )

    def read(self, seconds: float) -> int:
        with naming_problems():
            messages = self._gather(seconds)
            stored = self._store(messages) if messages else 0
            self._commit()
        for error in self.errors:
            if error.fatal() or error.code() in REFUSED_LOGIN:
                raise BrokerUnreachable(error.str())
        self.errors.clear()
        return stored

    def hold(self, held: bool) -> None:
        """A member must go on polling, so its partitions are paused."""
        if self.held != held:
            self.held = held
            (self.client.pause if held else self.client.resume)(self.client.assignment())

    def close(self) -> None:
        self.client.close()

    def _gather(self, seconds: float) -> list[Any]:
        """What has arrived, up to BATCH_MESSAGES and about BATCH_BYTES."""
        found, size = list[Any](), 0
        message = self.client.poll(seconds)
        while message is not None:
            if (error := message.error()) is None:
                found.append(message)
                size += len(message)
            else:
                self._report(error, message)
            if len(found) >= BATCH_MESSAGES or size >= BATCH_BYTES:
                break
            message = self.client.poll(GATHER_SECONDS)
        return found

    def _report(self, error: KafkaError, message: Any) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            partition = Partition(message.topic(), message.partition())
            low, high = self.client.get_watermark_offsets(TopicPartition(*partition), timeout=5.0)
            intake.report_hole(self.consumer, partition, low)
            self.holed.add(partition)
            logger.error(
                "%s: offset %s of %s/%s is not in the topic, which has %s to %s",
                self.consumer,
                self.next.get(partition),
                *partition,
                low,
                high,
            )
        elif error.code() in MISSING:
            raise KafkaException(error)
        elif error.code() == KafkaError._PARTITION_EOF:
            self.reached[Partition(message.topic(), message.partition())] = message.offset()
        else:
            logger.warning("%s: %s", self.consumer, error.str())

    def _store(self, messages: Sequence[Any]) -> int:
        ranges: dict[Partition, Range] = {}
        for message in messages:
            partition = Partition(message.topic(), message.partition())
            first = self.next.get(partition, message.offset())
            ranges[partition] = Range(first, message.offset() + 1)
        try:
            stored = intake.store(
                self.consumer, [_received(self.broker, each) for each in messages], ranges
            )
        except OffsetMoved:
            self._go_on_from(intake.begin(self.consumer, list(ranges)))
            raise
        except Exception:
            # The same messages come again.
            self._go_on_from({each: range_.first for each, range_ in ranges.items()})
            raise
        self.next |= {partition: range_.next for partition, range_ in ranges.items()}
        self.moved_at = time.monotonic()
        return stored

    def _commit(self) -> None:
        """For the tools of Kafka, which show a group's lag; nothing is read from there."""
        now = time.monotonic()
        if now - self.committed_at < COMMIT_SECONDS:
            return
        self.committed_at = now
        self._follow_operator()
        positions = self.client.position(self.client.assignment())
        if known := [each for each in positions if each.offset != OFFSET_INVALID]:
            self.client.commit(offsets=known, asynchronous=True)
        intake.note_ends(self.consumer, self._seen())
        if now - self.moved_at > STALLED_SECONDS:
            self.moved_at = now
            if any(self._is_behind(each) for each in positions):
                raise BrokerUnreachable("nothing arrives although messages are there")

    def _follow_operator(self) -> None:
        """An operator may have moved an offset; one behind a hole brings no message to notice it
        by."""
        for partition, offset in intake.begin(self.consumer, list(self.next)).items():
            if offset != self.next[partition]:
                self.holed.discard(partition)
                self._go_on_from({partition: offset})

    def _seen(self) -> dict[Partition, Seen]:
        """Of the partitions that the broker has sent something of."""
        ends = {
            each: self.client.get_watermark_offsets(TopicPartition(*each), cached=True)[1]
            for each in self.next
        }
        return {
            each: Seen(self.reached.get(each, 0), end)
            for each, end in ends.items()
            if end != OFFSET_INVALID
        }

    def _is_behind(self, position: TopicPartition) -> bool:
        partition = Partition(position.topic, position.partition)
        if self.held or partition in self.holed:
            return False
        _, high = self.client.get_watermark_offsets(position, cached=True)
        reached = max(position.offset, self.reached.get(partition, 0))
        return bool(position.offset != OFFSET_INVALID and reached < high)

    def _assign(self, client: Consumer, partitions: Sequence[TopicPartition]) -> None:
        begun = intake.begin(self.consumer, [Partition(p.topic, p.partition) for p in partitions])
        self.next |= begun
        client.incremental_assign(
            [TopicPartition(*partition, offset) for partition, offset in begun.items()]
        )
        self.held = False  # the new ones are not paused

    def _revoke(self, client: Consumer, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            self.next.pop(Partition(each.topic, each.partition), None)
            self.reached.pop(Partition(each.topic, each.partition), None)
            self.holed.discard(Partition(each.topic, each.partition))
        client.incremental_unassign(list(partitions))

    def _go_on_from(self, offsets: Mapping[Partition, int]) -> None:
        for partition, offset in offsets.items():
            if partition in self.next:
                self.next[partition] = offset
                self.reached.pop(partition, None)
                self.client.seek(TopicPartition(*partition, offset))


def ends(client: Mapping[str, Any], partitions: Sequence[Partition]) -> dict[Partition, int]:
    """The offset after the last message of each partition. Raises BrokerProblem."""
    with naming_problems():
        reader = Consumer({**GROUP, **examined(client), "group.id": "eventstore.ends"})
        try:
            return {
                each: reader.get_watermark_offsets(TopicPartition(*each), timeout=5.0)[1]
                for each in partitions
            }
        finally:
            reader.close()


def _received(broker: str, message: Any) -> BrokerMessage:
    return BrokerMessage(
        broker=broker,
        topic=message.topic(),
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=tuple((name.encode(), _bytes(value)) for name, value in message.headers() or ()),
        partition=message.partition(),
        offset=message.offset(),
    )


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def problem(error: KafkaError) -> BrokerProblem:
    if error.code() in MISSING:
        return TopicMissing(f"{error.str()}; create it: manage.py brokers --create")
    return BrokerUnreachable(error.str())


@contextmanager
def naming_problems() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise problem(error.args[0]) from error


def examined(client: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same options. Raises BrokerUnreachable for a file that cannot be read: the client's own
    error does not name it."""
    for option, value in client.items():
        if option.endswith(".location"):
            try:
                Path(value).open("rb").close()
            except OSError as error:
                raise BrokerUnreachable(f"{option}: {error}") from error
    return client


def cause(errors: Sequence[KafkaError], otherwise: KafkaError) -> KafkaError:
    """Of a client's errors the one that says most: a refused login, else the last one."""
    refused = [error for error in errors if error.code() in REFUSED_LOGIN]
    return [otherwise, *errors, *refused][-1]


class KafkaDeadLetters:
    """Writes to `<topic>.dlq`."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        with naming_problems():
            self.producer = Producer({**DEAD_LETTERS, **examined(client)}, logger=logger)

    def send(self, consumer: str, letters: Sequence[DeadLetter]) -> None:
        problems = list[KafkaError | None]()
        for letter in letters:
            self.producer.produce(
                letter.message.topic + SUFFIX,
                letter.message.value,
                letter.message.key,
                headers=_headers(consumer, letter),
                on_delivery=lambda error, _: problems.append(error),
            )
        self.producer.flush(PRODUCE_SECONDS)
        if failed := [error for error in problems if error is not None]:
            raise problem(failed[0])
        if len(problems) < len(letters):
            raise BrokerUnreachable("dead letters were not acknowledged in time")

    def close(self) -> None:
        self.producer.purge()
        self.producer.poll(0)


def _headers(consumer: str, letter: DeadLetter) -> list[tuple[str, str | bytes | None]]:
    own = {**letter.headers, "dlq-consumer": consumer}
    return [
        *((name.decode(), value) for name, value in letter.message.headers),
        *own.items(),
    ]
