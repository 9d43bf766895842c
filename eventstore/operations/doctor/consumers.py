"""Consumers: whether a process reads for each, and whether the broker still has what they read
next."""

from collections.abc import Callable, Iterator, Sequence

from eventstore import registry
from eventstore.delivery import heartbeats
from eventstore.delivery.readers import BACKLOG
from eventstore.messaging import brokers, relay
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import PartitionState
from eventstore.messaging.transport import BrokerState, Reading
from eventstore.outbox import cursors
from eventstore.subscriptions import Consumer

from .findings import CRITICAL, Finding, Limits

# A reader takes what has come within a second; an idle partition may have had its first message
# for an hour just now.
LOOK_AGAIN_SECONDS = 2.0


def offsets(limits: Limits) -> Iterator[Finding]:
    """What readers have found when they wanted to go on."""
    wired = registry.of_kind(Consumer)
    for each in intake.offsets():
        if each.consumer not in wired:
            continue
        if each.is_hole:
            ours = (
                name
                for name, types in relay.published_by(wired[each.consumer].broker).items()
                if any(f"events.{type_.partition('.')[0]}" == each.topic for type_ in types)
            )
            refill = "Let the producer send them again"
            if name := next(ours, ""):
                refill = (
                    f'manage.py subscriptions reset {name} POSITION --reason "…", with the position'
                    f" of the last event that {each.consumer} has handled, publishes again what is"
                    " missing"
                )
            yield Finding(
                check="consumer-hole",
                severity=CRITICAL,
                what=f"{each.topic}/{each.partition} no longer has the offsets {each.next} to"
                f" {(each.found or 0) - 1}, which {each.consumer} has not read.",
                culprit=f"the retention of {each.topic}, shorter than {each.consumer} was away",
                why="Their events have no effect here, and the consumer stops before them.",
                mend=f"{refill}; then manage.py consumers seek {each.consumer} {each.topic}"
                f' {each.partition} {each.found} --reason "…"',
            )
        elif each.is_ahead:
            yield _ahead(each, f"it begins with {each.found}")


def at_broker(
    broker: str,
    state: BrokerState,
    offsets: Sequence[PartitionState],
    limits: Limits,
    *,
    pause: Callable[[float], None],
) -> Iterator[Finding]:
    """Of a broker that answers. offsets: read before the state of the broker."""
    readings = [
        each
        for each in brokers.readings(broker)
        # It cannot read before they are created.
        if not {each.consumer, *each.topics} & set(state.missing)
    ]
    silent = limits.silent.total_seconds()
    beating = {each.kind for each in heartbeats.heartbeats() if each.seconds <= silent}
    read = {
        each.consumer
        for each in readings
        if heartbeats.consumer(each.consumer) in beating and not _is_unread(each.consumer, state)
    }
    for each in readings:
        if each.consumer not in read:
            yield _deaf(each, state, limits)
    known = [each for each in offsets if each.consumer in read and each.found is None]
    for partition in known:
        end = state.ends.get((partition.topic, partition.partition))
        if end is not None and end < partition.next:
            yield _ahead(partition, f"it ends before {end}")
    suspected = [
        each
        for each in known
        if each.behind_of(state.ends.get((each.topic, each.partition), 0)) > 0
        and each.seconds > limits.reading.total_seconds()
    ]
    held = {
        each
        for each in {partition.consumer for partition in suspected}
        # Its readers leave the messages with the broker.
        if cursors.is_far_behind(each, BACKLOG)
    }
    yield from _still([each for each in suspected if each.consumer not in held], pause)


def _is_unread(consumer: str, state: BrokerState) -> bool:
    queue = state.queues.get(consumer)
    return queue is not None and bool(queue.messages) and not queue.readers


def _still(
    suspected: Sequence[PartitionState], pause: Callable[[float], None]
) -> Iterator[Finding]:
    if not suspected:
        return
    pause(LOOK_AGAIN_SECONDS)
    again = {each.key: each for each in intake.offsets()}
    for each in suspected:
        now = again.get(each.key)
        if now is not None and (now.next, now.reached) == (each.next, each.reached):
            yield Finding(
                check="deaf-consumer",
                severity=CRITICAL,
                what=f"{each.consumer} has not moved in {each.topic}/{each.partition} for"
                f" {each.seconds:.0f} s, and messages are there.",
                culprit=f"{each.consumer} at offset {each.next}; the log of manage.py consume has"
                " the error",
                why="Its messages are not processed. Nothing is lost while the topic keeps them.",
                mend=f"Restart manage.py consume {each.consumer}; its log shows the error.",
            )


def _deaf(reading: Reading, state: BrokerState, limits: Limits) -> Finding:
    name = reading.consumer
    what = f"No process has read for {name} for {limits.silent.total_seconds():.0f} s."
    if _is_unread(name, state):
        messages = state.queues[name].messages
        what = f"No process reads the queue {name}: {messages} messages wait."
    return Finding(
        check="deaf-consumer",
        severity=CRITICAL,
        what=what,
        culprit=f"manage.py consume {name}, which does not run or hangs",
        why="Its messages are not processed. They stay at the broker as long as it keeps them.",
        mend=f"manage.py consume {name}",
    )


def _ahead(each: PartitionState, what: str) -> Finding:
    return Finding(
        check="consumer-ahead",
        severity=CRITICAL,
        what=f"{each.consumer} reads {each.topic}/{each.partition} from offset {each.next}, but"
        f" {what}.",
        culprit=f"{each.topic}, which was deleted and made again, or is of another cluster",
        why="The consumer receives nothing. What it has handled before has no effect again: it is"
        " recognized by its id.",
        mend=f"manage.py consumers seek {each.consumer} {each.topic} {each.partition} 0"
        ' --reason "…"',
    )


CHECKS = (offsets,)
