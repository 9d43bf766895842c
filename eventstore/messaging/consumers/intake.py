"""Store what was read from a broker in the outbox, each message once and in the order of its
stream.

Offsets and messages are one commit. A message of ours tells its place in its stream, by which a
repeat is recognized for ever; of another message only the id is known, for as long as the inbox
keeps it. A message that comes before an earlier one of its stream waits for it, or for PATIENCE.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

import msgspec
from uuid_utils.compat import uuid7

from eventstore import codec, log
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
# The messages that came from a queue are counted. Who does it holds the row until the commit, so
# that a second reader of the queue, which has lost it without knowing it, comes after the first.
COUNT = """
    UPDATE eventstore_consumer_offset
    SET next = next + %s, moved_at = now()
    WHERE consumer = %s AND topic = %s AND partition = %s
"""
SEEK = """
    UPDATE eventstore_consumer_offset
    SET next = %s, found = NULL, reached = 0, moved_at = now()
    WHERE consumer = %s AND topic = %s AND partition = %s
"""
REPORT_HOLE = """
    UPDATE eventstore_consumer_offset
    SET found = %s
    WHERE consumer = %s AND topic = %s AND partition = %s
"""
# Figures for operators: never wait for a reader that stores.
NOTE_ENDS = """
    WITH free AS MATERIALIZED (
        SELECT topic, partition
        FROM eventstore_consumer_offset
        WHERE consumer = %s AND (topic, partition) IN (
            SELECT * FROM unnest(%s::text[], %s::integer[]) AS assigned(topic, partition)
        )
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE eventstore_consumer_offset AS stored
    SET reached = seen.reached, broker_end = seen.broker_end, seen_at = now()
    FROM free
    JOIN unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[])
        AS seen(topic, partition, reached, broker_end) USING (topic, partition)
    WHERE stored.consumer = %s AND stored.topic = free.topic
      AND stored.partition = free.partition
"""
NOTE_LENGTH = """
    WITH free AS MATERIALIZED (
        SELECT FROM eventstore_consumer_offset
        WHERE consumer = %s AND topic = %s AND partition = %s
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE eventstore_consumer_offset AS stored
    SET broker_end = next + %s, seen_at = now()
    WHERE consumer = %s AND topic = %s AND partition = %s AND EXISTS (SELECT FROM free)
"""
LIST = """
    SELECT consumer, topic, partition, next, found,
           extract(epoch FROM now() - moved_at)::double precision, reached, broker_end, seen_at,
           coalesce(seen_at > moved_at, false)
    FROM eventstore_consumer_offset
    ORDER BY consumer, topic, partition
"""
WAITING = """
    SELECT consumer, count(*)
    FROM (SELECT consumer FROM eventstore_early_message ORDER BY id LIMIT 10000) AS early
    GROUP BY consumer
"""
PROGRESS = """
    SELECT stream, sequence, gaps::text
    FROM eventstore_consumer_sequence
    WHERE consumer = %s AND stream = ANY(%s)
"""
SAVE_PROGRESS = """
    INSERT INTO eventstore_consumer_sequence (consumer, stream, sequence, gaps)
    SELECT %s, stream, sequence, gaps
    FROM unnest(%s::text[], %s::bigint[], %s::jsonb[]) AS stored(stream, sequence, gaps)
    ORDER BY stream
    ON CONFLICT (consumer, stream) DO UPDATE
    SET sequence = EXCLUDED.sequence, gaps = EXCLUDED.gaps
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


class Seen(NamedTuple):
    """What a reader saw of a partition of Kafka. reached: the offset that it reads next; it skips
    the control records that Kafka writes for each transaction. end: the offset after the last
    message."""

    reached: int
    end: int


class PartitionState(NamedTuple):
    """A partition of Kafka; or the queue of a consumer on RabbitMQ, which has its name.

    next: of a queue, how many messages it has given. found: the first offset that the topic still
    has, where it lacks next. seconds: since the offset last moved. reached, broker_end: as a reader
    saw them at seen_at. is_seen: whether that was after the offset last moved.
    """

    consumer: str
    topic: str
    partition: int
    next: int
    found: int | None
    seconds: float
    reached: int
    broker_end: int | None
    seen_at: datetime | None
    is_seen: bool

    @property
    def key(self) -> tuple[str, Partition]:
        return self.consumer, Partition(self.topic, self.partition)

    @property
    def is_queue(self) -> bool:
        return self.topic == self.consumer

    @property
    def is_hole(self) -> bool:
        """Retention has deleted messages that were not read."""
        return self.found is not None and self.found > self.next

    @property
    def is_ahead(self) -> bool:
        """The partition ends before what is read next."""
        return self.found is not None and self.found <= self.next

    @property
    def is_beyond(self) -> bool:
        """What is read next lies beyond the end of the partition, which was made again, or an
        operator has sought there."""
        is_after_end = self.broker_end is not None and self.next > self.broker_end
        return self.is_ahead or (is_after_end and self.is_seen)

    @property
    def behind(self) -> int | None:
        """Messages at the broker that were not read; None while no reader has looked, and beyond
        the end."""
        if self.broker_end is None or self.is_beyond:
            return None
        return self.behind_of(self.broker_end)

    def behind_of(self, end: int) -> int:
        return max(end - max(self.next, self.reached), 0)


class Arrived(NamedTuple):
    """A message and its place among others. stream: "" for a message without a sequence. previous:
    the sequence of the one before it. waiting: its row, if it came too early. id: of the message at
    its source; "" for none."""

    stream: str
    sequence: int
    previous: int
    key: str
    payload: str
    metadata: str
    waiting: int | None = None
    id: str = ""


class Progress(NamedTuple):
    """How far a stream is stored. gaps: what was passed over, as pairs of the sequence before the
    gap and the last one in it."""

    sequence: int = 0
    gaps: Sequence[tuple[int, int]] = ()

    def has(self, sequence: int) -> bool:
        in_gap = any(after < sequence <= last for after, last in self.gaps)
        return sequence <= self.sequence and not in_gap

    def with_(self, arrived: Arrived) -> "Progress":
        sequence, previous = arrived.sequence, arrived.previous
        if sequence > self.sequence:
            skipped = [(self.sequence, previous)] if previous > self.sequence else []
            return Progress(sequence, (*self.gaps, *skipped))
        gaps = list[tuple[int, int]]()
        for after, last in self.gaps:
            if after < sequence <= last:
                gaps += [
                    each for each in ((after, previous), (sequence, last)) if each[0] < each[1]
                ]
            else:
                gaps.append((after, last))
        return Progress(self.sequence, tuple(gaps))


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


def end_of(consumer: str, partition: Partition) -> int | None:
    """The offset after the last message, as a reader last saw it; None if none has looked."""
    found = [each for each in offsets() if each.key == (consumer, partition)]
    return found[0].broker_end if found else None


def partitions_of(consumer: str, topic: str) -> list[Partition]:
    """Those of Kafka that the consumer has read."""
    return [
        Partition(topic, each.partition)
        for each in offsets()
        if (each.consumer, each.topic) == (consumer, topic) and not each.is_queue
    ]


def seek(consumer: str, partition: Partition, offset: int) -> None:
    execute(SEEK, [offset, consumer, *partition]).close()


def report_hole(consumer: str, partition: Partition, found: int) -> None:
    """The topic no longer has what comes next; it begins with the offset that was found."""
    execute(REPORT_HOLE, [found, consumer, *partition]).close()


def note_ends(consumer: str, seen: Mapping[Partition, Seen]) -> None:
    """Store how much of each partition was not read, for operators."""
    if seen:
        topics, numbers = map(list, zip(*seen, strict=True))
        reached, ends = map(list, zip(*seen.values(), strict=True))
        columns = [topics, numbers, reached, ends]
        execute(NOTE_ENDS, [consumer, topics, numbers, *columns, consumer]).close()


def note_length(consumer: str, queue: Partition, messages: int) -> None:
    """Store the length of a queue, for operators."""
    row = [consumer, *queue]
    execute(NOTE_LENGTH, [*row, messages, *row]).close()


def offsets() -> list[PartitionState]:
    return [PartitionState(*row) for row in rows(LIST)]


def waiting() -> dict[str, int]:
    """consumer -> how many messages wait for an earlier one; at most 10,000 are counted."""
    return dict(rows(WAITING))


def arrived(message: BrokerMessage) -> Arrived:
    """The message with what decides about its place."""
    found = incoming.attributes_of(message)
    stream, sequence = found.get("stream", ""), incoming.number(found.get("sequence", ""))
    source, id_ = found.get("source", ""), found.get("id", "")
    # Without any of these it need not stay in order with other messages.
    key = found.get("partitionkey") or incoming.text_of(message.key) or stream
    key = key or found.get("subject") or f"{source} {id_ or uuid7()}"
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
        payload=codec.encode_value(message, TYPE).decode(),
        metadata=codec.encode_json(metadata).decode(),
        id=_short(f"{source} {id_}") if id_ else "",
    )


def store(
    consumer: str, messages: Sequence[BrokerMessage], ranges: Mapping[Partition, Range]
) -> int:
    """Store messages of Kafka, and move the offsets over their ranges. Returns how many were new.
    Raises OffsetMoved."""
    with_place = [arrived(each) for each in messages]
    with atomic():
        if ranges:
            topics, numbers = map(list, zip(*ranges, strict=True))
            first, next_ = map(list, zip(*ranges.values(), strict=True))
            moved = rows(ADVANCE, [topics, numbers, first, next_, consumer])
            if len(moved) < len(ranges):
                places = sorted(ranges)
                raise OffsetMoved(f"{consumer}: {places} are read by another process by now")
        return _store(consumer, with_place)


def store_from_queue(consumer: str, queue: Partition, messages: Sequence[BrokerMessage]) -> int:
    """Store messages of RabbitMQ. Returns how many were new. queue: what begin was called with."""
    with_place = [arrived(each) for each in messages]
    with atomic():
        execute(COUNT, [len(messages), consumer, *queue]).close()
        return _store(consumer, with_place)


def release_overdue(consumer: str) -> int:
    """Store messages that have waited for an earlier one for too long, with what waits behind
    them."""
    with atomic():
        streams = [stream for (stream,) in rows(OVERDUE, [consumer])]
        if not streams:
            return 0
        progress, ready = _progress(consumer, streams), _early(consumer, streams)
        for each in ready:
            progress[each.stream] = progress[each.stream].with_(each)
        _write(consumer, ready, progress)
        return len(ready)


def in_order(
    arrived: Iterable[Arrived], known: Mapping[str, Progress], early: Iterable[Arrived]
) -> tuple[list[Arrived], list[Arrived], dict[str, Progress]]:
    """Those that can be stored, in order; those that wait for an earlier one of their stream; and
    how far the streams are stored then. Repeats are in neither.

    known: by stream. early: what waits already.
    """
    progress, ready = defaultdict(Progress, known), list[Arrived]()
    waiting: dict[str, dict[int, Arrived]] = defaultdict(dict)
    for each in early:
        waiting[each.stream][each.sequence] = each
    for each in arrived:
        stream = each.stream
        if not stream:
            ready.append(each)
        elif progress[stream].has(each.sequence) or each.sequence in waiting[stream]:
            continue
        elif each.previous > progress[stream].sequence:
            waiting[stream][each.sequence] = each
        else:
            ready.append(each)
            progress[stream] = progress[stream].with_(each)
            for sequence, follower in sorted(waiting[stream].items()):
                if follower.previous > progress[stream].sequence:
                    break
                ready.append(waiting[stream].pop(sequence))
                progress[stream] = progress[stream].with_(follower)
    return ready, [each for of_stream in waiting.values() for each in of_stream.values()], progress


def _store(consumer: str, with_place: Sequence[Arrived]) -> int:
    """Returns how many were new."""
    known_by_id = {each.id for each in with_place if each.id and not each.stream}
    new = received.remember(consumer, sorted(known_by_id)) if known_by_id else set()
    fresh = []
    for each in with_place:
        if each.id not in known_by_id or each.id in new:
            new.discard(each.id)  # a repeat may be in the same batch
            fresh.append(each)
    streams = sorted({each.stream for each in fresh if each.stream})
    early = _early(consumer, streams) if streams else []
    known = _progress(consumer, streams) if streams else {}
    ready, waiting, progress = in_order(fresh, known, early)
    late = [each for each in waiting if each.waiting is None]
    if late:
        columns = zip(*(each[:6] for each in late), strict=True)
        execute(WAIT, [consumer, PATIENCE, *map(list, columns)]).close()
    changed = {
        stream: each for stream, each in progress.items() if each != known.get(stream, Progress())
    }
    _write(consumer, ready, changed)
    released = sum(each.waiting is not None for each in ready)
    return len(ready) - released + len(late)


def _write(consumer: str, ready: Sequence[Arrived], progress: Mapping[str, Progress]) -> None:
    if released := [each.waiting for each in ready if each.waiting is not None]:
        execute(RELEASE, [released]).close()
    if progress:
        sequences = [each.sequence for each in progress.values()]
        gaps = [codec.encode_json(each.gaps).decode() for each in progress.values()]
        execute(SAVE_PROGRESS, [consumer, list(progress), sequences, gaps]).close()
    decode = codec.decoder(Metadata)
    messages = [
        OutgoingMessage(
            topic=consumer,
            key=each.key,
            type=TYPE,
            id=uuid7(),
            payload=msgspec.Raw(each.payload.encode()),
            metadata=decode(each.metadata),
        )
        for each in ready
    ]
    # Last, because it holds the fence until the commit.
    log.write([], messages)


def _progress(consumer: str, streams: Sequence[str]) -> dict[str, Progress]:
    found = {
        stream: Progress(sequence, tuple((after, last) for after, last in codec.decode_json(gaps)))
        for stream, sequence, gaps in rows(PROGRESS, [consumer, list(streams)])
    }
    return defaultdict(Progress, found)


def _early(consumer: str, streams: Sequence[str]) -> list[Arrived]:
    return [Arrived(*row) for row in rows(EARLY, [consumer, list(streams)])]


def _short(text: str) -> str:
    """As it is, if an index and a log line can take it; else its hash."""
    if len(text) <= KEY_CHARACTERS and text.isprintable():
        return text
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
