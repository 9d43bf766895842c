"""The topics of Kafka: their names, what creates them, and looks at them for the doctor."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from confluent_kafka import (
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

from eventstore.messaging.consumers.dead_letters import SUFFIX
from eventstore.messaging.consumers.kafka import cause, examined, naming_problems, problem
from eventstore.messaging.transport import BrokerState, Reading, Relays, TopicMissing

from . import checkpoint
from .checkpoint import Checkpoint

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 1_000_000
METADATA_SECONDS, FENCE_SECONDS = 5.0, 10.0
CHECKPOINTS = {"cleanup.policy": "compact", "segment.ms": "600000"}
# librdkafka's offset for "so many before the end", and how many the doctor reads for how long.
OFFSET_TAIL, CHECKPOINTS_READ, CHECKPOINT_SECONDS = -2000, 16, 3.0


class Options(NamedTuple):
    """client: what librdkafka is given as it is, such as bootstrap.servers and sasl.*."""

    client: Mapping[str, Any]
    transactions: bool = True
    max_message_bytes: int = MAX_MESSAGE_BYTES
    partitions: int = 6
    replication: int = -1


class KafkaAdministration:
    """Creates topics, and says which are missing."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.errors: list[KafkaError] = []
        settings: dict[str, Any] = {"log_level": 0, "error_cb": self.errors.append}
        with naming_problems():
            self.admin = AdminClient({**examined(options.client), **settings})

    def missing(self, relays: Relays, readings: Iterable[Reading] = ()) -> list[str]:
        """The topics that relays and consumers need and that do not exist. relays: name -> types
        published."""
        return sorted(set(self._needed(relays, readings)) - set(self._topics()))

    def declared_otherwise(self, readings: Iterable[Reading]) -> list[str]:
        """None: consumers have no queues of their own on Kafka."""
        return []

    def state(
        self, relays: Relays, readings: Iterable[Reading], read: Iterable[tuple[str, int]]
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
                newest=self._newest([each for each in relays if checkpoint.topic(each) in counts]),
            )

    def _newest(self, relays: Sequence[str]) -> dict[str, int]:
        """Of the relays whose last checkpoint is near the end of its topic: transactions leave
        markers behind."""
        if not relays or not self.options.transactions:
            return {}
        reader = Consumer({**self.options.client, **checkpoint.READER, "group.id": "doctor"})
        names = {each.encode(): each for each in relays}
        found: dict[str, int] = {}
        ended, deadline = 0, time.monotonic() + CHECKPOINT_SECONDS
        try:
            reader.assign(
                [
                    TopicPartition(checkpoint.topic(each), 0, OFFSET_TAIL - CHECKPOINTS_READ)
                    for each in relays
                ]
            )
            while ended < len(relays) and time.monotonic() < deadline:
                message = reader.poll(0.1)
                if message is None:
                    continue
                if (error := message.error()) is None:
                    name = names.get(message.key() or b"")
                    if name and (held := Checkpoint.of(message.value())):
                        found[name] = max(held.positions, default=0)
                elif error.code() in (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET):
                    ended += 1
                else:
                    raise KafkaException(error)
        finally:
            reader.close()
        return found

    def create(
        self, relays: Relays, readings: Iterable[Reading] = (), *, tap: bool = False
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

    def create_topic(self, name: str, config: Mapping[str, str]) -> bool:
        """With one partition. Returns False if it exists. Raises BrokerProblem."""
        if name in self._topics():
            return False
        new = NewTopic(name, 1, self.options.replication, config=dict(config))
        (created,) = self.admin.create_topics([new]).values()
        with naming_problems():
            try:
                created.result(METADATA_SECONDS * 2)
            except KafkaException as error:
                # The client repeats a request whose answer it has not got.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        return True

    def fence(self, relay: str) -> None:
        """Abort what a process of the relay has begun; no message of it arrives afterwards. Without
        transactions nothing happens. Raises BrokerProblem."""
        if self.options.transactions:
            with naming_problems():
                client = {"log_level": 0, **examined(self.options.client)}
                Producer({**client, "transactional.id": relay}).init_transactions(FENCE_SECONDS)

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
        self, relays: Relays, readings: Iterable[Reading]
    ) -> dict[str, tuple[int, Mapping[str, str]]]:
        topics = _published(relays)
        for reading in readings:
            topics |= {*reading.topics, *(topic + SUFFIX for topic in reading.topics)}
        needed: dict[str, tuple[int, Mapping[str, str]]] = {
            name: (self.options.partitions, {}) for name in sorted(topics)
        }
        if self.options.transactions:
            needed |= {checkpoint.topic(relay): (1, CHECKPOINTS) for relay in relays}
        return needed


def _published(relays: Relays) -> set[str]:
    """The topics of relays; those of other systems have as many partitions as these want."""
    return {topic_of(type_) for types in relays.values() for type_ in types}


@cache
def topic_of(type_: str) -> str:
    return f"events.{type_.partition('.')[0]}"
