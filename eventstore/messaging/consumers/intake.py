"""Store what was read from a broker in the outbox, each message once and in the order of its
stream.

Offsets, ids and messages are one commit. A message that comes before an earlier one of its stream
waits for it, or for PATIENCE.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple

import msgspec
from uuid_utils.compat import uuid7

from eventstore import codec, limits, log
from eventstore.log import OutgoingMessage
from eventstore.messages import BrokerMessage, Metadata
from eventstore.outbox import received
from eventstore.postgres import atomic, execute, rows

from . import incoming

TYPE = "eventstore.broker_message"
# How long a message waits for the one before it. It may never come: the consumer began later, or
# the broker no longer has it.
PATIENCE = timedelta(seconds=10)
# The longest order key that is stored as it is.
KEY_CHARACTERS = 200

BEGIN = """
    INSERT INTO eventstore_consumer_offset (consumer, topic, partition, next)
    SELECT %s, topic, partition, 0
    FROM unnest(%s::text[], %s::integer[]) AS assigned(topic, partition)
    ON CONFLICT DO NOTHING
"""
OFFSETS = """
    SELECT topic, partition, next
    FROM eventstore_consumer_offset
    WHERE consumer = %s AND (topic, partition) IN (
        SELECT * FROM unnest(%s::text[], %s::integer[]) AS assigned(topic, partition)
    )
"""
# Only from where this reader began: another one may have the partition by now.
ADVANCE = """
    UPDATE eventstore_consumer_offset AS stored
    SET next = read.next, found = NULL, moved_at = now()
    FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[])
        AS read(topic, partition, first, next)
    WHERE stored.consumer = %s AND stored.topic = read.topic
      AND stored.partition = read.partition AND stored.next = read.first
    RETURNING stored.partition
"""
HOLD = """
    SELECT next
    FROM eventstore_consumer_offset
    WHERE consumer = %s AND topic = %s AND partition = %s
    FOR UPDATE
"""
SEEK = """
    UPDATE eventstore_consumer_offset
    SET next = %s, found = NULL, moved_at = now()
    WHERE consumer = %s AND topic = %s AND partition = %s
"""
REPORT_HOLE = """
    UPDATE eventstore_consumer_offset
    SET found = %s
    WHERE consumer = %s AND topic = %s AND partition = %s
"""
LIST = """
    SELECT consumer, topic, partition, next, found,
           extract(epoch FROM now() - moved_at)::double precision
    FROM eventstore_consumer_offset
    ORDER BY consumer, topic, partition
"""
SEQUENCES = """
    SELECT stream, sequence
    FROM eventstore_consumer_sequence
    WHERE consumer = %s AND stream = ANY(%s)
"""
REMEMBER_SEQUENCES = """
    INSERT INTO eventstore_consumer_sequence AS known (consumer, stream, sequence)
    SELECT %s, stream, sequence
    FROM unnest(%s::text[], %s::bigint[]) AS stored(stream, sequence)
    ORDER BY stream
    ON CONFLICT (consumer, stream) DO UPDATE
    SET sequence = greatest(known.sequence, EXCLUDED.sequence)
"""
WAIT = """
    INSERT INTO eventstore_early_message
        (consumer, stream, sequence, previous, key, payload, metadata, until)
    SELECT %s, stream, sequence, previous, key, payload, metadata, now() + %s
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::json[], %s::json[])
        AS early(stream, sequence, previous, key, payload, metadata)
"""
EARLY = """
    SELECT stream, sequence, previous, key, payload::text, metadata::text, id
    FROM eventstore_early_message
    WHERE consumer = %s AND stream = ANY(%s)
    ORDER BY sequence
    FOR UPDATE
"""
OVERDUE = """
    SELECT DISTINCT stream
    FROM (
        SELECT stream FROM eventstore_early_message
        WHERE consumer = %s AND until <= now()
        ORDER BY until
        LIMIT 1000
    ) AS overdue
"""
RELEASE = "DELETE FROM eventstore_early_message WHERE id = ANY(%s)"


class OffsetMoved(Exception):
    """Another process reads this partition, or an operator has moved the offset: nothing was
    stored."""


class Partition(NamedTuple):
    topic: str
    partition: int


class Range(NamedTuple):
    """Offsets read from a partition: from first, up to and without next."""

    first: int
    next: int


class PartitionState(NamedTuple):
    """found: the first offset that the topic still has, where the ones from next on are gone.
    seconds: since the offset last moved."""

    consumer: str
    topic: str
    partition: int
    next: int
    found: int | None
    seconds: float


class Arrived(NamedTuple):
    """A message and its place among others. id: of the message at its source; "" for none. stream:
    "" for a message without a sequence. waiting: its row, if it came too early."""

    stream: str
    sequence: int
    previous: int
    key: str
    payload: str
    metadata: str
    waiting: int | None = None
    id: str = ""


def begin(consumer: str, partitions: Sequence[Partition]) -> dict[Partition, int]:
    """Where the consumer continues in these partitions; at the beginning of one new to it."""
    columns = [[each.topic for each in partitions], [each.partition for each in partitions]]
    with atomic():
        execute(BEGIN, [consumer, *columns]).close()
        found = rows(OFFSETS, [consumer, *columns])
    return {Partition(topic, partition): next_ for topic, partition, next_ in found}


def begun(consumer: str, partition: Partition) -> int | None:
    """Where the consumer continues, locked for this transaction; None for a partition that it has
    never read."""
    found = rows(HOLD, [consumer, *partition])
    return int(found[0][0]) if found else None


def seek(consumer: str, partition: Partition, offset: int) -> None:
    execute(SEEK, [offset, consumer, *partition]).close()


def report_hole(consumer: str, partition: Partition, found: int) -> None:
    """The topic no longer has what comes next; it begins with the offset that was found."""
    execute(REPORT_HOLE, [found, consumer, *partition]).close()


def offsets() -> list[PartitionState]:
    return [PartitionState(*row) for row in rows(LIST)]


def arrived(message: BrokerMessage) -> Arrived:
    """The message with what decides about its place."""
    found = incoming.attributes_of(message)
    stream, sequence = found.get("stream", ""), incoming.number(found.get("sequence", ""))
    source, id_ = found.get("source", ""), found.get("id", "")
    key = found.get("partitionkey") or incoming.text_of(message.key) or message.topic
    metadata = Metadata(
        correlation_id=incoming.uuid_of(found.get("correlationid", "")) or uuid7(),
        causation_id=incoming.uuid_of(id_),
        trace=found.get("traceparent", ""),
    )
    return Arrived(
        stream=_short(f"{source} {stream}") if stream and sequence else "",
        sequence=sequence,
        previous=incoming.number(found.get("previoussequence", "")) if stream else 0,
        key=_short(key),
        payload=limits.encode(message, TYPE).decode(),
        metadata=codec.encode_json(metadata).decode(),
        id=_short(f"{source} {id_}") if id_ else "",
    )


def store(
    consumer: str, messages: Sequence[BrokerMessage], ranges: Mapping[Partition, Range] = {}
) -> int:
    """Store the messages, and move the offsets over their ranges. Returns how many were new.

    Raises OffsetMoved.
    """
    all_ = [arrived(each) for each in messages]
    with atomic():
        _advance(consumer, ranges)
        with_id = [each.id for each in all_ if each.id]
        new = received.remember(consumer, with_id) if with_id else set()
        fresh = []
        for each in all_:
            if not each.id or each.id in new:
                new.discard(each.id)  # a repeat may be in the same batch
                fresh.append(each)
        _write(consumer, fresh, patient=True)
    return len(fresh)


def release_overdue(consumer: str) -> int:
    """Store messages that have waited for an earlier one for too long, with what waits behind
    them."""
    with atomic():
        streams = [stream for (stream,) in rows(OVERDUE, [consumer])]
        return _write(consumer, _early(consumer, streams), patient=False) if streams else 0


def in_order(
    arrived: Iterable[Arrived], known: Mapping[str, int], early: Iterable[Arrived]
) -> tuple[list[Arrived], list[Arrived]]:
    """Those that can be stored, in order, and those that wait for an earlier one of their stream.

    known: stream -> the last sequence that was stored. early: what waits already.
    """
    last, ready = dict(known), list[Arrived]()
    waiting: dict[str, list[Arrived]] = defaultdict(list)
    for each in early:
        waiting[each.stream].append(each)
    for each in arrived:
        if each.previous > last.get(each.stream, 0):
            waiting[each.stream].append(each)
            continue
        ready.append(each)
        if each.stream:
            last[each.stream] = max(last.get(each.stream, 0), each.sequence)
            ready += _follow(waiting[each.stream], last)
    return ready, [each for stream in waiting.values() for each in stream]


def _follow(waiting: list[Arrived], last: dict[str, int]) -> list[Arrived]:
    """Takes out those of one stream that are no longer early."""
    waiting.sort(key=lambda each: each.sequence)
    ready = list[Arrived]()
    while waiting and waiting[0].previous <= last[waiting[0].stream]:
        ready.append(waiting.pop(0))
        last[ready[-1].stream] = max(last[ready[-1].stream], ready[-1].sequence)
    return ready


def _advance(consumer: str, ranges: Mapping[Partition, Range]) -> None:
    if not ranges:
        return
    topics, numbers = zip(*ranges, strict=True)
    first, next_ = zip(*ranges.values(), strict=True)
    moved = rows(ADVANCE, [list(topics), list(numbers), list(first), list(next_), consumer])
    if len(moved) < len(ranges):
        raise OffsetMoved(f"{consumer}: {sorted(ranges)} are read by another process by now")


def _write(consumer: str, arrived: Sequence[Arrived], *, patient: bool) -> int:
    """patient: whether the early ones go on waiting. Returns how many were stored."""
    streams = sorted({each.stream for each in arrived if each.stream})
    known = dict(rows(SEQUENCES, [consumer, streams])) if streams else {}
    if patient:
        ready, waiting = in_order(arrived, known, _early(consumer, streams) if streams else ())
    else:
        ready, waiting = list(arrived), []
    if new := [each for each in waiting if each.waiting is None]:
        columns = zip(*(each[:6] for each in new), strict=True)
        execute(WAIT, [consumer, PATIENCE, *map(list, columns)]).close()
    if released := [each.waiting for each in ready if each.waiting is not None]:
        execute(RELEASE, [released]).close()
    last = {each.stream: each.sequence for each in ready if each.stream}
    for each in ready:
        if each.stream:
            last[each.stream] = max(last[each.stream], each.sequence)
    if last:
        execute(REMEMBER_SEQUENCES, [consumer, list(last), list(last.values())]).close()
    # Last, because it holds the fence until the commit.
    log.write([], [_outgoing(consumer, each) for each in ready])
    return len(ready)


def _early(consumer: str, streams: Sequence[str]) -> list[Arrived]:
    return [Arrived(*row) for row in rows(EARLY, [consumer, list(streams)])]


def _outgoing(consumer: str, arrived: Arrived) -> OutgoingMessage:
    return OutgoingMessage(
        topic=consumer,
        key=arrived.key,
        type=TYPE,
        id=uuid7(),
        payload=msgspec.Raw(arrived.payload.encode()),
        metadata=codec.decoder(Metadata)(arrived.metadata),
    )


def _short(text: str) -> str:
    """As it is, if an index and a log line can take it; else its hash."""
    if len(text) <= KEY_CHARACTERS and text.isprintable():
        return text
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
