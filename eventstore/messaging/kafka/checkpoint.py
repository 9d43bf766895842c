"""Which positions the last batch of a relay holds: one record in a compacted topic of the relay,
written in the transaction of the batch."""

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Self

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from eventstore.log import epochs
from eventstore.messaging.transport import Batch, BrokerUnreachable

logger = logging.getLogger(__name__)

READER = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
}
# The records that are read first; then eight times as many, and so on.
TAIL = 4


class Checkpoint(msgspec.Struct, frozen=True):
    """The positions that a batch of a relay holds. mark: the epoch of the log. token: of the
    batch."""

    mark: int | None
    token: int
    positions: tuple[int, ...]

    @classmethod
    def of(cls, value: bytes | None) -> Self | None:
        """Of a record of its topic; None for one that another program wrote there."""
        try:
            return msgspec.json.decode(value or b"", type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def value(self) -> bytes:
        return msgspec.json.encode(self)

    def published(self, batch: Batch) -> frozenset[int]:
        """Its positions, if the cursor has not moved behind them."""
        # A crash of PostgreSQL begins an epoch, but the batch before it is still published. No
        # position is used in two epochs.
        is_ours = self.mark in {each.mark for each in epochs.history()}
        if not is_ours or self.token <= batch.settled:
            return frozenset()
        logger.info("%s: %s messages were published already", batch.relay, len(self.positions))
        return frozenset(self.positions)


def topic(relay: str) -> str:
    """One for each relay: another's open transaction would hide the newest checkpoint."""
    return f"relays.{relay.partition('@')[0]}"


def newest(relay: str, client: Mapping[str, Any], batch: Batch) -> Checkpoint | None:
    """The last committed one of the relay; searched backwards, as transactions leave markers
    behind. client: options of librdkafka."""
    options = {**client, **READER, "group.id": f"relay.{relay}"}
    with closing(Consumer(options)) as consumer:
        place = TopicPartition(topic(relay), 0)
        low, high = consumer.get_watermark_offsets(place, timeout=max(batch.left, 1.0))
        tail, start = TAIL, high
        while start > low:
            start, tail = max(high - tail, low), tail * 8
            place.offset = start if start > low else OFFSET_BEGINNING
            consumer.assign([place])
            if found := _last(consumer, batch.deadline):
                return found
    return None


def _last(consumer: Consumer, deadline: float) -> Checkpoint | None:
    """The last one up to the end of the partition."""
    found: Checkpoint | None = None
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is None:
            continue
        error = message.error()
        if error is None:
            found = Checkpoint.of(message.value()) or found
        elif error.code() == KafkaError._PARTITION_EOF:
            return found
        else:
            raise KafkaException(error)
    raise BrokerUnreachable("the checkpoint could not be read in time")
