"""Compares what Kafka, RabbitMQ and their consumers have with the log: by SQL and stock clients,
without the platform's own code."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import NamedTuple
from uuid import UUID, uuid5

import psycopg

from tools.devserver import kafka, rabbitmq
from tools.verification.chaos.brokers import CONSUMERS, NAMES, Brokers, Record
from tools.verification.chaos.checker import MOST_SHOWN, Violation
from tools.verification.chaos.checks import UNFINISHED, WRONG

MISSING, DISORDERED, REPEATED = "missing", "disordered", "repeated_read_committed"
EFFECTS_DOUBLED, EFFECTS_LOST = "effects_doubled", "effects_lost"
PROMISED = (MISSING, DISORDERED, REPEATED, EFFECTS_DOUBLED, EFFECTS_LOST)
# Not violations: RabbitMQ and Debezium promise each message at least once.
REPEATED_RABBITMQ, REPEATED_CAPTURE = "repeated_rabbitmq", "repeated_cdc"
# Rows that were written for Debezium.
CAPTURED = "captured"

# The integration events of each domain event, in order.
_STATUS, _DETAILS = "orders.order_status_changed", "orders.order_details"
CONFIRMED = "orders.order_confirmed_integration"
_COMPLETED = ("payments.payment_completed_integration",)
_REFUNDED = ("payments.payment_refunded_integration",)
_LEVEL = ("inventory.stock_level_changed",)
_PARCEL = ("shipping.shipment_status_changed",)
TRANSLATIONS = {
    "orders.order_placed": (_STATUS, _DETAILS),
    "orders.order_confirmed": (CONFIRMED, _STATUS, _DETAILS),
    "orders.order_cancelled": (_STATUS, _DETAILS),
    "orders.order_refund_requested": (_STATUS, _DETAILS),
    "payments.payment_completed": _COMPLETED,
    "payments.late_payment_completed": _COMPLETED,
    "payments.payment_failed": ("payments.payment_failed_integration",),
    "payments.payment_refunded": _REFUNDED,
    "payments.payment_refunded_outside": _REFUNDED,
    "payments.part_refunded": _REFUNDED,
    "payments.payment_disputed": ("payments.payment_disputed_integration",),
    "inventory.stock_received": _LEVEL,
    "inventory.stock_adjusted": _LEVEL,
    "inventory.stock_reserved": _LEVEL,
    "inventory.stock_released": _LEVEL,
    "inventory.stock_returned": _LEVEL,
    "shipping.shipment_created": ("shipping.shipment_created_integration",),
    "shipping.shipment_shipped": _PARCEL,
    "shipping.shipment_delivered": _PARCEL,
    "shipping.shipment_lost": _PARCEL,
    "shipping.shipment_returned": _PARCEL,
    "shipping.shipment_cancelled": _PARCEL,
}
PER_EVENT = 1000

LOG = """
    SELECT id, stream, version, position, type FROM eventstore_event
    WHERE type = ANY(%s) ORDER BY position
"""
# How many effects are still to come: of each message, and of each confirmed order.
OPEN = """
    WITH expected AS (
        SELECT sum(times) AS messages, count(*) FILTER (WHERE type = 'orders.order_confirmed')
            AS confirmed
        FROM eventstore_event JOIN unnest(%s::text[], %s::int[]) AS each(type, times) USING (type)
    )
    SELECT sum(
        greatest(0, messages - (SELECT count(DISTINCT event_id) FROM chaos_effect
            WHERE consumer = name))
        + greatest(0, confirmed - (SELECT count(DISTINCT data->>'event_id') FROM eventstore_event
            WHERE type = 'chaos.counted' AND data->>'consumer' = name))
    )::bigint
    FROM expected, unnest(%s::text[]) AS name
"""
RELAYED = "SELECT name, position FROM eventstore_subscription WHERE name LIKE '%@%'"
OFFSETS = "SELECT topic, partition, next FROM eventstore_consumer_offset WHERE consumer = %s"
# What a consumer has read, and has not had its effect yet.
PENDING = """
    SELECT (SELECT count(*) FROM eventstore_outbox AS outgoing JOIN eventstore_subscription AS its
                ON its.name = outgoing.topic
            WHERE its.name = ANY(ARRAY[%(name)s, 'chaos']) AND outgoing.position > its.position)
         + (SELECT count(*) FROM eventstore_parked
            WHERE subscription = ANY(ARRAY[%(name)s, 'chaos']))
         + (SELECT count(*) FROM eventstore_early_message WHERE consumer = %(name)s)
"""
EFFECTS = "SELECT event_id, stream, position, sequence FROM chaos_effect WHERE consumer = %s"
ROWS = "SELECT coalesce(last_value, 0) FROM eventstore_integration_outbox_number_seq"
COUNTED = """
    SELECT data->>'event_id' FROM eventstore_event
    WHERE type = 'chaos.counted' AND data->>'consumer' = %s
"""


class Expected(NamedTuple):
    """An integration event, as the log says that it is published."""

    type: str
    stream: str
    position: int
    sequence: int


class Effect(NamedTuple):
    event_id: str
    stream: str
    position: int
    sequence: int


@dataclass(frozen=True)
class Consumed:
    """finished: whether everything that the broker has was read and delivered before the effects
    were. effects: in their order. counted: the ids of the confirmed orders that were counted."""

    finished: bool
    effects: Sequence[Effect]
    counted: Sequence[str]


@dataclass(frozen=True)
class Found:
    """expected: by id, in the order of the log. relayed: name of a relay -> its cursor, read before
    the messages. records: by broker, in its order. consumed: by broker. captured: how many rows
    were written for Debezium, where the publications leave by it; else None."""

    expected: Mapping[str, Expected]
    relayed: Mapping[str, int]
    records: Mapping[str, Sequence[Record]]
    consumed: Mapping[str, Consumed]
    captured: int | None = None


class BrokerChecker:
    """captured: whether the publications leave by Debezium. tapped: what the tap of RabbitMQ has
    brought so far."""

    def __init__(self, brokers: Brokers, database: str, *, captured: bool = False) -> None:
        self.brokers, self.database, self.captured = brokers, database, captured
        self.tapped: list[Record] = []

    def settle(self, *, seconds: float) -> float | None:
        """Wait until each message has had its effect. Returns the seconds it took; None after a
        timeout."""
        start = monotonic()
        while monotonic() - start < seconds:
            if self._count_open() == 0:
                return monotonic() - start
            sleep(1)
        return None

    def check(self, *, seconds: float) -> tuple[list[Violation], Counter[str]]:
        """The violations, and counts for the report. seconds: how long what is absent may still
        come, as behind the transaction of a relay that was killed."""
        until = monotonic() + seconds
        while True:
            found = self._find()
            rows = list(violations(found))
            may_come = any(kind in (MISSING, UNFINISHED) for _, kind, _ in rows)
            if not may_come or monotonic() > until:
                break
            sleep(2)
        return [
            Violation(name, kind, len(these), these[:MOST_SHOWN]) for name, kind, these in rows
        ], counted(found)

    def _count_open(self) -> int:
        types, times = list(TRANSLATIONS), [len(each) for each in TRANSLATIONS.values()]
        with psycopg.connect(self.database, connect_timeout=2) as connection:
            row = connection.execute(OPEN, [types, times, list(CONSUMERS.values())]).fetchone()
            return int(row[0] or 0) if row else 0

    def _find(self) -> Found:
        with psycopg.connect(self.database, autocommit=True) as connection:
            relayed = dict(connection.execute(RELAYED).fetchall())
            expected = dict(expectations(connection.execute(LOG, [list(TRANSLATIONS)])))
            self.tapped += self.brokers.rabbitmq_records()
            records = {
                kafka.NAME: self.brokers.kafka_records(),
                rabbitmq.NAME: tuple(self.tapped),
            }
            consumed = {name: self._consumed(connection, name, records[name]) for name in NAMES}
            row = connection.execute(ROWS).fetchone() if self.captured else None
        return Found(expected, relayed, records, consumed, row[0] if row else None)

    def _consumed(
        self, connection: psycopg.Connection, name: str, records: Sequence[Record]
    ) -> Consumed:
        """From the source to the effect, so that nothing is missed that moves meanwhile."""
        consumer = CONSUMERS[name]
        is_read = (
            _are_read(records, connection.execute(OFFSETS, [consumer]).fetchall())
            if name == kafka.NAME
            else self.brokers.waiting(consumer) == 0
        )
        row = connection.execute(PENDING, {"name": consumer}).fetchone()
        effects = connection.execute(EFFECTS + " ORDER BY id", [consumer]).fetchall()
        counts = connection.execute(COUNTED, [consumer]).fetchall()
        return Consumed(
            finished=is_read and row is not None and row[0] == 0,
            effects=[Effect(*each) for each in effects],
            counted=[id_ for (id_,) in counts],
        )


def expectations(log: Iterable[tuple]) -> Iterator[tuple[str, Expected]]:
    """log: id, stream, version, position, type of each domain event."""
    for id_, stream, version, position, type_ in log:
        for index, published in enumerate(TRANSLATIONS[type_]):
            sequence = version * PER_EVENT + index
            yield (
                str(uuid5(UUID(str(id_)), str(index))),
                Expected(published, stream, position, sequence),
            )


def violations(found: Found) -> Iterator[tuple[str, str, list[str]]]:
    """For each check that has found something: its name, the kind of its violations, and what it
    found."""
    for name, kind, rows in (
        *(each for broker in NAMES for each in _of_broker(found, broker)),
        *(each for broker in NAMES for each in _of_consumer(found, broker)),
    ):
        if rows:
            yield name, kind, rows


def counted(found: Found) -> Counter[str]:
    """For the report."""
    counts = Counter(
        {
            "integration_events": len(found.expected),
            REPEATED_RABBITMQ: _count_repeats(found.records[rabbitmq.NAME]),
        }
    )
    if found.captured is not None:
        counts[REPEATED_CAPTURE] = _count_repeats(found.records[kafka.NAME])
        counts[CAPTURED] = found.captured
    return counts


def _count_repeats(records: Sequence[Record]) -> int:
    return len(records) - len({each.id for each in records})


def _of_broker(found: Found, broker: str) -> Iterator[tuple[str, str, list[str]]]:
    records = found.records[broker]
    there = {each.id for each in records}
    absent = [
        (f"{each.type} {each.stream} {each.position}", _is_passed(found, broker, each))
        for id_, each in found.expected.items()
        if id_ not in there
    ]
    yield (
        f"{broker} has every event that its relay has passed",
        MISSING,
        [text for text, is_passed in absent if is_passed],
    )
    yield (
        f"every event was published to {broker}",
        UNFINISHED,
        [text for text, is_passed in absent if not is_passed],
    )
    yield f"{broker} has each key in the order of the log", DISORDERED, _disordered(records)
    yield (
        f"{broker} has only what the log says",
        WRONG,
        [
            f"{each.type} {each.stream} {each.position}"
            for each in records
            if found.expected.get(each.id)
            != Expected(each.type, each.stream, each.position, each.sequence)
        ],
    )
    if broker == kafka.NAME and found.captured is None:
        yield (
            "a read_committed reader of kafka sees each event once",
            REPEATED,
            _repeated(each.id for each in records),
        )


def _of_consumer(found: Found, broker: str) -> Iterator[tuple[str, str, list[str]]]:
    consumed = found.consumed[broker]
    there = {each.id for each in found.records[broker]}
    had = {each.event_id for each in consumed.effects}
    confirmed = {id_ for id_, each in found.expected.items() if each.type == CONFIRMED}
    absent = sorted((there & set(found.expected) - had) | (there & confirmed - {*consumed.counted}))
    is_lost = consumed.finished
    yield (
        f"the consumer of {broker} has passed no event without its effect",
        EFFECTS_LOST,
        absent if is_lost else [],
    )
    yield f"the consumer of {broker} is at the end", UNFINISHED, [] if is_lost else absent
    yield (
        f"no event has its effect twice at the consumer of {broker}",
        EFFECTS_DOUBLED,
        _repeated(each.event_id for each in consumed.effects) + _repeated(consumed.counted),
    )
    yield (
        f"the consumer of {broker} has had each stream in order",
        DISORDERED,
        _falling((each.stream, each.position, each.sequence) for each in consumed.effects),
    )


def _is_passed(found: Found, broker: str, event: Expected) -> bool:
    relay = f"{event.type.partition('.')[0]}.published@{broker}"
    return found.relayed.get(relay, 0) >= event.position


def _are_read(records: Sequence[Record], offsets: Iterable[tuple]) -> bool:
    next_ = {(topic, part): at for topic, part, at in offsets}
    last = {(each.topic, each.part): each.offset for each in records}
    return all(next_.get(place, 0) > offset for place, offset in last.items())


def _disordered(records: Sequence[Record]) -> list[str]:
    """By the first of each id. A key in two partitions has no order."""
    parts: dict[tuple[str, str], set[int]] = defaultdict(set)
    for each in records:
        parts[each.topic, each.key].add(each.part)
    split = [f"{topic} {key}" for (topic, key), its in parts.items() if len(its) > 1]
    firsts: dict[str, Record] = {}
    for each in records:
        firsts.setdefault(each.id, each)
    return split + _falling(
        (f"{each.topic} {each.key}", each.position, each.sequence) for each in firsts.values()
    )


def _falling(places: Iterable[tuple[str, int, int]]) -> list[str]:
    """The keys and positions of those that come behind a later one of their key."""
    last: dict[str, tuple[int, int]] = {}
    found = []
    for key, *place in places:
        if (position := tuple(place)) < last.get(key, (0, 0)):
            found.append(f"{key} {position}")
        last[key] = max(last.get(key, (0, 0)), position)
    return found


def _repeated(ids: Iterable[str]) -> list[str]:
    return [id_ for id_, count in Counter(ids).items() if count > 1]
