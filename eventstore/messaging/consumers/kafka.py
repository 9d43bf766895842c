"""Read topics of Kafka for one consumer, as a member of a consumer group.

Where to go on is read from PostgreSQL when a partition is assigned, and moves in the commit that
stores the messages. What is committed to Kafka only feeds its own tools. A member that has lost a
partition without knowing it cannot move the offset, so nothing of its batch is stored.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from eventstore import settings
from eventstore.messages import BrokerMessage
from eventstore.messaging import client_log
from eventstore.messaging.transport import BrokerProblem, BrokerUnreachable, TopicMissing

from . import intake
from .dead_letters import SUFFIX, DeadLetter
from .incoming import MAGIC
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


class Assignment:
    """The partitions that a consumer reads by a client, and the place in each.

    next: partition -> the offset that is read next. holed: partitions whose next messages the topic
    no longer has. reached: partition -> where its end was when it was reached, behind the marks of
    transactions. held: whether they are paused.
    """

    def __init__(self, consumer: str, client: Consumer) -> None:
        self.consumer, self.client = consumer, client
        self.next: dict[Partition, int] = {}
        self.reached: dict[Partition, int] = {}
        self.holed: set[Partition] = set()
        self.held = False
        self.moved_at = time.monotonic()

    def add(self, client: Consumer, partitions: Sequence[TopicPartition]) -> None:
        begun = intake.begin(self.consumer, [Partition(p.topic, p.partition) for p in partitions])
        self.next |= begun
        client.incremental_assign(
            [TopicPartition(*partition, offset) for partition, offset in begun.items()]
        )
        self.held = False  # the new ones are not paused

    def remove(self, client: Consumer, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            self.next.pop(Partition(each.topic, each.partition), None)
            self.reached.pop(Partition(each.topic, each.partition), None)
            self.holed.discard(Partition(each.topic, each.partition))
        client.incremental_unassign(list(partitions))

    def store(self, messages: Sequence[BrokerMessage]) -> int:
        """Returns how many were new. Raises OffsetMoved."""
        ranges: dict[Partition, Range] = {}
        for message in messages:
            partition = Partition(message.topic, message.partition)
            first = self.next.get(partition, message.offset)
            ranges[partition] = Range(first, message.offset + 1)
        try:
            stored = intake.store(self.consumer, messages, ranges)
        except OffsetMoved:
            self.go_on_from(intake.begin(self.consumer, list(ranges)))
            raise
        except Exception:
            # The same messages come again.
            self.go_on_from({each: range_.first for each, range_ in ranges.items()})
            raise
        self.next |= {partition: range_.next for partition, range_ in ranges.items()}
        self.moved_at = time.monotonic()
        return stored

    def go_on_from(self, offsets: Mapping[Partition, int]) -> None:
        for partition, offset in offsets.items():
            if partition in self.next:
                self.next[partition] = offset
                self.reached.pop(partition, None)
                self.client.seek(TopicPartition(*partition, offset))

    def follow_operator(self) -> None:
        """An operator may have moved an offset; one behind a hole brings no message to notice it
        by."""
        for partition, offset in intake.begin(self.consumer, list(self.next)).items():
            if offset != self.next[partition]:
                self.holed.discard(partition)
                self.go_on_from({partition: offset})

    def report_hole(self, partition: Partition) -> None:
        """The topic no longer has what is read next."""
        low, high = self.client.get_watermark_offsets(TopicPartition(*partition), timeout=5.0)
        intake.report_hole(self.consumer, partition, low)
        self.holed.add(partition)
        text = "%s: offset %s of %s/%s is not in the topic, which has %s to %s"
        logger.error(text, self.consumer, self.next.get(partition), *partition, low, high)

    def note_ends(self) -> None:
        """Of the partitions that the broker has sent something of."""
        seen = {}
        for each in self.next:
            end = self.client.get_watermark_offsets(TopicPartition(*each), cached=True)[1]
            if end != OFFSET_INVALID:
                seen[each] = Seen(self.reached.get(each, 0), end)
        intake.note_ends(self.consumer, seen)

    def is_stalled(self, positions: Iterable[TopicPartition]) -> bool:
        """Whether nothing has come for STALLED_SECONDS since the last message or the last call that
        looked, although the broker has more."""
        if time.monotonic() - self.moved_at <= STALLED_SECONDS:
            return False
        self.moved_at = time.monotonic()
        for each in () if self.held else positions:
            partition = Partition(each.topic, each.partition)
            _, high = self.client.get_watermark_offsets(each, cached=True)
            reached = max(each.offset, self.reached.get(partition, 0))
            if partition not in self.holed and each.offset != OFFSET_INVALID and reached < high:
                return True
        return False


class KafkaSource:
    """A member of the consumer's group."""

    def __init__(
        self, consumer: str, broker: str, topics: Sequence[str], client: Mapping[str, Any]
    ) -> None:
        self.consumer, self.broker = consumer, broker
        self.errors: list[KafkaError] = []
        self.committed_at = time.monotonic()
        settings = {**GROUP, **examined(client), "group.id": consumer, "client.id": consumer}
        with naming_problems():
            self.client = Consumer(
                {**settings, "error_cb": self.errors.append}, logger=client_log.of(__name__)
            )
        self.assigned = Assignment(consumer, self.client)
        add, remove = self.assigned.add, self.assigned.remove
        self.client.subscribe(list(topics), on_assign=add, on_revoke=remove, on_lost=remove)

    def read(self, seconds: float) -> int:
        with naming_problems():
            messages = self._gather(seconds)
            if settings.schema_registry():
                # At another system's registry, so that no transaction waits for it later.
                values = [each.value or b"" for each in messages]
                if encoded := [value for value in values if value.startswith(MAGIC)]:
                    from eventstore.messaging import avro  # its libraries are an extra

                    avro.warm(encoded)
            stored = self.assigned.store(messages) if messages else 0
            if time.monotonic() - self.committed_at >= COMMIT_SECONDS:
                self.committed_at = time.monotonic()
                self.assigned.follow_operator()
                positions = self.client.position(self.client.assignment())
                # For the tools of Kafka, which show a group's lag; nothing is read from there.
                if known := [each for each in positions if each.offset != OFFSET_INVALID]:
                    self.client.commit(offsets=known, asynchronous=True)
                self.assigned.note_ends()
                if self.assigned.is_stalled(positions):
                    raise BrokerUnreachable("nothing arrives although messages are there")
        for error in self.errors:
            if error.fatal() or error.code() in REFUSED_LOGIN:
                raise BrokerUnreachable(error.str())
        self.errors.clear()
        return stored

    def hold(self, held: bool) -> None:
        """A member must go on polling, so its partitions are paused."""
        if self.assigned.held != held:
            self.assigned.held = held
            (self.client.pause if held else self.client.resume)(self.client.assignment())

    def close(self) -> None:
        self.client.close()

    def _gather(self, seconds: float) -> list[BrokerMessage]:
        """What has arrived, up to BATCH_MESSAGES and about BATCH_BYTES."""
        found, size = list[BrokerMessage](), 0
        message: Any = self.client.poll(seconds)
        while message is not None:
            error, place = message.error(), Partition(message.topic(), message.partition())
            if error is None:
                value, headers = _bytes(message.value()), message.headers() or ()
                found.append(
                    BrokerMessage(
                        broker=self.broker,
                        topic=place.topic,
                        key=_bytes(message.key()),
                        value=value,
                        headers=tuple((name.encode(), _bytes(text)) for name, text in headers),
                        partition=place.partition,
                        offset=message.offset(),
                    )
                )
                size += len(message)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                self.assigned.report_hole(place)
            elif error.code() in MISSING:
                raise KafkaException(error)
            elif error.code() == KafkaError._PARTITION_EOF:
                self.assigned.reached[place] = message.offset()
            else:
                logger.warning("%s: %s", self.consumer, error.str())
            if len(found) >= BATCH_MESSAGES or size >= BATCH_BYTES:
                break
            message = self.client.poll(GATHER_SECONDS)
        return found


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
            self.producer = Producer(
                {**DEAD_LETTERS, **examined(client)}, logger=client_log.of(__name__)
            )

    def send(self, consumer: str, letters: Sequence[DeadLetter]) -> None:
        problems = list[KafkaError | None]()
        for letter in letters:
            message, own = letter.message, {**letter.headers, "dlq-consumer": consumer}
            self.producer.produce(
                message.topic + SUFFIX,
                message.value,
                message.key,
                headers=[
                    *((name.decode(), value) for name, value in message.headers),
                    *own.items(),
                ],
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
