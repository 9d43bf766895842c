"""Relays and the brokers that they publish to: whether the brokers can be reached and have what is
needed, and whether each relay publishes."""

import time
from collections.abc import Callable, Iterator, Sequence

from django.utils import timezone

from eventstore import registry, settings
from eventstore.messaging import brokers, relay, relay_leases
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import PartitionState
from eventstore.messaging.transport import BrokerBlocked, BrokerProblem, BrokerState
from eventstore.operations import lag
from eventstore.operations.lag import Lag
from eventstore.postgres import rows
from eventstore.subscriptions import Relay

from . import consumers
from .findings import CRITICAL, WARNING, Finding, Limits

# The end of what can have been published; a fence may move back behind a cursor.
LAST = "SELECT greatest(eventstore_fence(), max(position)) FROM eventstore_subscription"
# Longer than the pause between two attempts of a relay.
FAILING_SECONDS = 10.0


def state(broker: str, offsets: Sequence[PartitionState]) -> BrokerState:
    """What the broker has, in a few requests. Raises BrokerProblem."""
    readings = brokers.readings(broker)
    names = {each.consumer for each in readings}
    read = [
        (each.topic, each.partition)
        for each in offsets
        if each.consumer in names and not each.is_queue
    ]
    published = relay.published_by(broker)
    found: BrokerState = brokers.administration(broker).state(published, readings, read)
    return found


def topics(
    limits: Limits,
    *,
    state: Callable[[str, Sequence[PartitionState]], BrokerState] = state,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """Queries each broker of the settings once, for its relays and its consumers."""
    for name in settings.brokers():
        # Before the broker's ends, which only grow.
        offsets = intake.offsets()
        try:
            found = state(name, offsets)
        except BrokerProblem as problem:
            yield Finding(
                check="broker-unreachable",
                severity=CRITICAL,
                what=f"{name} does not answer: {problem}",
                culprit=f"{name}, or its settings",
                why="Its relays publish nothing, and its consumers read nothing. Nothing is lost:"
                " the events remain in the log.",
                mend=f"Start {name}, or correct its address and credentials; manage.py brokers"
                " tests the connection.",
            )
            continue
        yield from _topology(name, found)
        # Asked after the broker: a relay publishes only what is below the fence.
        last = rows(LAST)[0][0] if found.newest else 0
        for relay_, position in found.newest.items():
            if position > last:
                yield Finding(
                    check="broker-ahead",
                    severity=CRITICAL,
                    what=f"{relay_} has published position {position}; the log ends at {last}.",
                    culprit=f"a restore that lost events, or {name} belongs to another database",
                    why="Consumers of the broker know events that the log lacks.",
                    mend='manage.py after_restore --reason "…"; see docs/guide/restore.md',
                )
        yield from consumers.at_broker(name, found, offsets, limits, pause=pause)


def _topology(name: str, found: BrokerState) -> Iterator[Finding]:
    if found.missing:
        yield Finding(
            check="topic-missing",
            severity=CRITICAL,
            what=f"{name} lacks {', '.join(found.missing)}.",
            culprit=f"{name}: topics, exchanges and queues are created by a command only",
            why="The relays that publish there and the consumers that read there have stopped.",
            mend="manage.py brokers --create",
        )
    for topic, partitions in found.partitions.items():
        yield Finding(
            check="partitions-changed",
            severity=WARNING,
            what=f"{topic} has {partitions} partitions. KAFKA_PARTITIONS says another number, which"
            " applies to all topics events.* of relays.",
            culprit=f"{topic} of {name}, or KAFKA_PARTITIONS",
            why="Another number of partitions moves keys to other partitions: consumers may read"
            " later messages of a key before earlier ones.",
            mend="docs/guide/brokers.md, Change the number of partitions: manage.py subscriptions"
            " pause each relay, and wait until manage.py consumers shows no lag. Then"
            f" kafka-topics.sh --alter --topic {topic} --partitions KAFKA_PARTITIONS for each topic"
            " that has fewer;"
            f" or set KAFKA_PARTITIONS={partitions}, if all of them have {partitions}. Resume.",
        )
    for each in found.differing:
        yield Finding(
            check="queue-differs",
            severity=CRITICAL,
            what=f"A queue of {name} is declared otherwise: {each}",
            culprit="a former release, a policy, or another program that declared it",
            why="Order, delivery limit and dead letters of this queue are not guaranteed.",
            mend="Stop manage.py consume when manage.py consumers shows no lag; rabbitmqctl"
            f" delete_queue {each.partition(':')[0]} --if-empty; manage.py brokers --create.",
        )


def relays(limits: Limits) -> Iterator[Finding]:
    for each in relay_leases.states():
        if each.error.startswith(BrokerBlocked.__name__):
            yield Finding(
                check="broker-blocked",
                severity=CRITICAL,
                what=f"The broker of {each.name} accepts no messages: {each.error}",
                culprit="RabbitMQ, which has a memory or disk alarm",
                why="Nothing is lost: the events remain in the log. Consumers receive nothing new.",
                mend="rabbitmqctl status shows the alarm. Free memory or disk, or raise"
                " vm_memory_high_watermark or disk_free_limit. The relay retries by itself.",
            )
        elif each.error and each.failing > FAILING_SECONDS:
            yield Finding(
                check="relay",
                severity=CRITICAL,
                what=f"{each.name} has published nothing for {each.failing:.0f} s: {each.error}",
                culprit=f"{each.name}, last run by {each.holder}",
                why="Consumers of its broker receive nothing new.",
                mend="manage.py brokers shows what is missing; the relay retries by itself.",
            )
        elif each.token > each.settled and each.ended > limits.lease.total_seconds():
            yield Finding(
                check="relay-lease",
                severity=WARNING,
                what=f"{each.name} began a batch and did not finish it; its lease ended"
                f" {each.ended:.0f} s ago.",
                culprit=f"{each.holder}, which died or hangs",
                why="No other worker has taken the relay over.",
                mend="manage.py work --once; then find out why the workers do not take it.",
            )


def behind(limits: Limits, *, lags: Callable[[], Sequence[Lag]] = lag.lags) -> Iterator[Finding]:
    """Relays that publish, but too slowly. One that does not move is a finding of its own."""
    if not registry.of_kind(Relay):
        return
    failing = {each.name for each in relay_leases.states() if each.error}
    now = timezone.now()
    for each in lags():
        is_moving = now - each.moved_at <= limits.still
        is_late = each.is_behind and each.seconds > limits.relay.total_seconds()
        if each.kind == "relay" and is_late and is_moving and each.name not in failing:
            yield Finding(
                check="relay-behind",
                severity=WARNING,
                what=f"{each.name} is {each.amount} messages behind, the oldest"
                f" {each.seconds:.0f} s old.",
                culprit=f"{each.name} at position {each.position}: its broker is slow, or it"
                " publishes the history",
                why="Consumers of its broker see events late.",
                mend=f"manage.py overview {each.name} shows its rate; more workers do not help,"
                " one publishes at a time.",
            )


CHECKS = (topics, relays, behind)
