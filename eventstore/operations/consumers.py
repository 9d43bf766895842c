"""Consumers: how much each has not read, which processes read for it, and what waits."""

from collections.abc import Sequence
from typing import NamedTuple

from eventstore import registry, settings
from eventstore.delivery import heartbeats
from eventstore.delivery.heartbeats import Heartbeat
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import PartitionState
from eventstore.subscriptions import Consumer

# Seconds after its last heartbeat from which a reader no longer counts.
SILENT = 30.0


class ConsumerState(NamedTuple):
    """handles: types, or patterns of types. partitions: those that it has read; one row for a queue
    of RabbitMQ. readers: the processes that read for it, without those that are silent. early:
    messages that wait for an earlier one of their stream."""

    name: str
    broker: str
    topics: Sequence[str]
    handles: Sequence[str]
    partitions: Sequence[PartitionState]
    readers: Sequence[Heartbeat]
    early: int

    @property
    def behind(self) -> int | None:
        """Messages at the broker that were not read, as its readers last saw it; None while no
        reader has looked, or if a partition ends before what is read next."""
        if any(each.is_beyond for each in self.partitions):
            return None
        known = [each.behind for each in self.partitions if each.behind is not None]
        return sum(known) if known else None

    @property
    def is_read(self) -> bool:
        return bool(self.readers)

    @property
    def error(self) -> str:
        """What keeps it from reading; "" for nothing that is known here."""
        if any(each.found is not None or each.is_beyond for each in self.partitions):
            return "a partition lacks what it reads next"
        return "" if self.is_read else "no process reads"


def states() -> list[ConsumerState]:
    """Of the wiring, for brokers of the settings; three queries, and none of a broker."""
    named = settings.brokers()
    wired = {
        name: each for name, each in registry.of_kind(Consumer).items() if each.broker in named
    }
    if not wired:
        return []
    offsets, early = intake.offsets(), intake.waiting()
    alive = [each for each in heartbeats.heartbeats() if each.seconds < SILENT]
    return [
        ConsumerState(
            name=name,
            broker=each.broker,
            topics=each.topics,
            handles=list(each.handle),
            partitions=[found for found in offsets if found.consumer == name],
            readers=[found for found in alive if found.kind == heartbeats.consumer(name)],
            early=early.get(name, 0),
        )
        for name, each in wired.items()
    ]
