"""Compare a relay's broker with the log."""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from eventstore import registry
from eventstore.messaging import brokers, relay
from eventstore.outbox import cursors
from eventstore.subscriptions import Relay

from .broker_side import Access, BrokerSide, Reader
from .log_side import LogSide
from .merge import Gone, Merge
from .records import EXPECTED, ORDERED
from .report import Hole, Report
from .sorting import Sorter

POLL_SECONDS = 0.2
# Objects, and collections of them: more than one batch of messages has.
RARE_COLLECTIONS = (300_000, 10, 10)
# The transport's class -> the module that reads back what it has sent.
MODULES = {
    "eventstore.messaging.kafka.Kafka": "eventstore.messaging.reconcile.kafka",
    "eventstore.messaging.rabbitmq.RabbitMQ": "eventstore.messaging.reconcile.rabbitmq",
}
RETENTION, COMPACTION, BEGINNING = "retention", "compaction", "the beginning of the queue"

# done, total: of what is to be read from both sides.
Progress = Callable[[int, int], None]


class ReconciliationRefused(Exception):
    """Nothing can be compared, or published."""


class Request(NamedTuple):
    """first, last: positions of the log; None for all that the relay has published. queue: of
    RabbitMQ, in place of our tap."""

    relay: str
    first: int | None = None
    last: int | None = None
    queue: str = ""


class Found(NamedTuple):
    """reader: it can read on. missing: records of what the broker lacks, by id."""

    report: Report
    reader: Reader
    missing: Sorter


def relay_named(name: str) -> str:
    """A relay by its name, or by that of its publication if that has one relay only. Raises
    ReconciliationRefused."""
    relays = registry.of_kind(Relay)
    found = [each for each in relays if name in (each, each.partition("@")[0])]
    if len(found) == 1:
        return found[0]
    if found:
        raise ReconciliationRefused(f"{name} has several relays; choose one of {', '.join(found)}.")
    known = ", ".join(relays) or "none: no broker is configured"
    raise ReconciliationRefused(f"{name!r} is not a relay. Relays: {known}.")


def declare_tap(name: str) -> str:
    """Declare the queue of RabbitMQ that keeps what the relay publishes from now on; returns its
    name. Raises ReconciliationRefused, transport.BrokerProblem."""
    broker = registry.of_kind(Relay)[name].broker
    module = _module(broker)
    if not hasattr(module, "declare_tap"):
        raise ReconciliationRefused(f"{broker} keeps its messages itself: it needs no tap.")
    made: str = module.declare_tap(name, broker, *_topic_and_types(name))
    return made


@contextmanager
def reconcile(request: Request, on_progress: Progress) -> Iterator[Found]:
    """Compare. The relay may run meanwhile: what it publishes later is not compared.

    Raises ReconciliationRefused, log_side.LogFailed, transport.BrokerProblem.
    """
    broker_name = registry.of_kind(Relay)[request.relay].broker
    module = _module(broker_name)
    if request.queue and not hasattr(module, "declare_tap"):
        raise ReconciliationRefused(f"{broker_name} has no queues: leave out --queue.")
    after, until = _range(request)
    topic, _ = _topic_and_types(request.relay)
    access: Access = module.access(request.relay, broker_name, topic, request.queue)
    with _collecting_rarely(), ExitStack() as open_:
        # Before there is a client of the broker: the log is read in forked processes.
        log = open_.enter_context(
            closing(LogSide(request.relay, after, until, access.fingerprinter))
        )
        reader = open_.enter_context(closing(access.reader()))
        if not (reader.partitions or reader.total or request.first):
            raise ReconciliationRefused(
                f"{reader.place} holds no message: nothing can be compared yet."
            )
        shortened = list(reader.shortened)
        log.begin(with_partitions=bool(reader.partitions and shortened))
        broker = open_.enter_context(closing(_read(reader, log, on_progress)))
        if reader.shortened and not shortened:
            raise ReconciliationRefused(
                f"The retention of {reader.place} has deleted messages meanwhile: compare again."
            )
        missing = open_.enter_context(closing(Sorter(EXPECTED.size)))
        # Of a queue, the beginning is given where it does not begin with the first message.
        is_given = request.first is not None and not reader.partitions
        deleted = {} if is_given else broker.first_positions(reader.shortened)
        gone = Gone(reader.partitions, deleted, reader.is_compacted)
        report = Report(request.relay, reader.place, after, until)
        # Where the order of all messages was seen to be right, it is not compared.
        is_sure = broker.in_order and not gone.is_compacted
        by_key = None if is_sure else Sorter(ORDERED.size)
        _merge(report, log, broker, Merge(gone, by_key, missing.add_one))
        report.newer, report.earlier, report.others = broker.newer, broker.earlier, reader.others
        yield Found(report, reader, missing)


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Here, and in the processes that are forked meanwhile. A message has a tuple for each of its
    headers and is in no cycle; collecting took a third of the time."""
    before = gc.get_threshold()
    gc.set_threshold(*RARE_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _read(reader: Reader, log: LogSide, on_progress: Progress) -> BrokerSide:
    """All that the broker holds; returns when the log is read, too."""
    broker, read = BrokerSide(log.after, log.until), 0
    total = log.until - log.after + reader.total
    for messages in reader.read():
        broker.add(messages)
        read += len(messages)
        on_progress(min(read, reader.total) + log.done, total)
    while not log.is_ready(POLL_SECONDS):
        on_progress(reader.total + log.done, total)
    return broker


def _merge(report: Report, log: LogSide, broker: BrokerSide, merge: Merge) -> None:
    for each in merge.differences(log, broker.sorted):
        report.add(each)
    report.expected, report.found = merge.expected, len(broker.sorted)
    positions = sorted({each.position for each in report.examples if each.position is not None})
    events = {each.position: each for each in cursors.read_at(report.relay, positions)}
    for number, each in enumerate(report.examples):
        if each.position in events:
            event = events[each.position]
            report.examples[number] = each._replace(stream=event.stream, type=event.type)
    reason = RETENTION if merge.gone.partitions else BEGINNING
    report.holes = [
        Hole(partition, reason, merge.gone.until[partition], number)
        for partition, number in sorted(merge.expired.items())
    ]
    if merge.compacted:
        report.holes.append(Hole(None, COMPACTION, None, merge.compacted))


def _range(request: Request) -> tuple[int, int]:
    """After which position, and up to which. Raises ReconciliationRefused."""
    try:
        cursor = cursors.position_of(request.relay)
    except ValueError:
        raise ReconciliationRefused(
            f"{request.relay} has no cursor yet: run manage.py migrate."
        ) from None
    begins = max(registry.of_kind(Relay)[request.relay].after, 0)
    after = begins if request.first is None else max(request.first - 1, 0)
    until = cursor if request.last is None else min(request.last, cursor)
    if after >= until:
        raise ReconciliationRefused(
            f"{request.relay} has published nothing after {after}: it is at {cursor}."
        )
    return after, until


def _module(broker: str) -> Any:
    """Raises ReconciliationRefused."""
    transport = brokers.transport_name(broker)
    if transport not in MODULES:
        raise ReconciliationRefused(f"What {transport} has sent cannot be read back.")
    return import_module(MODULES[transport])


def _topic_and_types(name: str) -> tuple[str, list[str]]:
    """Of a relay. Raises ReconciliationRefused."""
    types = relay.published_by(registry.of_kind(Relay)[name].broker)[name]
    if not types:
        raise ReconciliationRefused(f"{name} publishes no type.")
    return f"events.{types[0].partition('.')[0]}", types
