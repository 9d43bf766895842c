"""What the log expects a relay to have published: the bytes that it would send today, as records.

They are made in processes of their own while the broker is read: translating and encoding take
longer than reading.
"""

import multiprocessing
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any, NamedTuple

from django.db import Error, connections

from eventstore import registry
from eventstore.messages import Message
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.publisher import PER_EVENT, Translator
from eventstore.messaging.transport import BrokerProblem
from eventstore.outbox import cursors, parked
from eventstore.subscriptions import Relay

from .records import EXPECTED
from .sorting import Sorter, merged, split

BATCH = 2000
# Records that are sent to the other process at once.
CHUNK = 5000
# For a log of at least so many positions each.
PROCESSES, LEAST_POSITIONS = 2, 10_000
FORK = multiprocessing.get_context("fork")


class Fingerprint(NamedTuple):
    """digest: of what would be sent. key: of its order."""

    digest: int
    key: bytes


# (envelope) -> what the broker should hold of it. Raises transport.Refused, BrokerProblem.
Fingerprinter = Callable[[Envelope], Fingerprint]


# Up to which position, and the records.
Page = tuple[int, list[bytes]]


class LogFailed(Exception):
    """The log could not be read or translated."""


class Work(NamedTuple):
    """What one process reads. after, until: positions of the log. done: shared, up to which of them
    it has read. fingerprinter: called in the process."""

    relay: str
    after: int
    until: int
    fingerprinter: Callable[[], Fingerprinter]
    done: Any

    def run(self, channel: Any) -> None:
        """Begins to read before the parent says whether partitions are wanted; if so, begins again.
        Sends all records, sorted."""
        try:
            fingerprint = self.fingerprinter()
            pages = Reading(self, fingerprint, with_partitions=False).pages()
            found = Sorter(EXPECTED.size)
            self._add(found, pages, until=channel.poll)
            if channel.recv():
                pages = Reading(self, fingerprint, with_partitions=True).pages()
                found.close()
                found = Sorter(EXPECTED.size)
            self._add(found, pages)
            records = iter(found)
            while chunk := b"".join(islice(records, CHUNK)):
                channel.send(chunk)
            channel.send(None)
        except BrokerProblem as problem:
            channel.send(problem)
        except Exception as error:  # noqa: BLE001  it is raised in the other process
            channel.send(LogFailed(f"{type(error).__name__}: {error}"))
        finally:
            connections.close_all()

    def _add(
        self, found: Sorter, pages: Iterator[Page], until: Callable[[], bool] = lambda: False
    ) -> None:
        for end, page in pages:
            found.add(page)
            self.done.value = end
            if until():
                return


class Reading:
    """Reads and translates the log as the relay does. with_partitions: whether the records say by
    which hash Kafka places a key; it takes as long as a translation."""

    def __init__(self, work: Work, fingerprint: Fingerprinter, *, with_partitions: bool) -> None:
        self.work, self.fingerprint, self.with_partitions = work, fingerprint, with_partitions
        self.translator = Translator(registry.of_kind(Relay)[work.relay].publication)

    def pages(self) -> Iterator[Page]:
        name, after, until = self.work[:3]
        while after < until:
            messages = cursors.read_from_log(name, after=after, until=until, limit=BATCH)
            end = messages[-1].position if len(messages) == BATCH else until
            held = parked.positions(name, after=after, until=end)
            self.translator.begin(messages, after=after, until=end)
            yield end, [record for each in messages for record in self._records(each, held)]
            after = end

    def _records(self, message: Message, held: Collection[int]) -> list[bytes]:
        """Of one message of the log. One that cannot be sent is expected only in that it is
        parked."""
        is_parked = message.position in held
        try:
            envelopes = self.translator.envelopes(message)
            made = []
            for each in envelopes:
                digest, key = self.fingerprint(each)
                place = each.position * PER_EVENT + each.sequence % PER_EVENT
                murmur = murmur2(key) if self.with_partitions else 0
                made.append(
                    EXPECTED.pack(each.id.bytes, digest, place, hash(key), murmur, is_parked)
                )
            return made
        except (Error, BrokerProblem):
            raise
        except Exception:  # noqa: BLE001  the relay has parked it for the same reason
            if not is_parked:
                return []
            return [EXPECTED.pack(message.id.bytes, 0, message.position * PER_EVENT, 0, 0, True)]


class Part:
    """A process at work, and what it sends."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.channel, theirs = FORK.Pipe()
        self.process = FORK.Process(target=work.run, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def blocks(self) -> Iterator[list[bytes]]:
        """Once, in ascending order. Raises LogFailed, BrokerProblem."""
        while True:
            try:
                received = self.channel.recv()
            except (EOFError, OSError):
                raise LogFailed("the process that reads the log died") from None
            match received:
                case bytes():
                    yield split(received, EXPECTED.size)
                case None:
                    return
                case _:
                    raise received

    def close(self) -> None:
        self.process.terminate()
        self.process.join()
        self.channel.close()


class LogSide:
    """The records in ascending order, made by forked processes. after, until: positions of the log.

    The processes are forked before any client of a broker exists: such a client has threads.
    """

    def __init__(
        self, name: str, after: int, until: int, fingerprinter: Callable[[], Fingerprinter]
    ) -> None:
        self.after, self.until = after, until
        connections.close_all()  # two processes must not use one connection
        number = PROCESSES if until - after >= PROCESSES * LEAST_POSITIONS else 1
        ends = [after + (until - after) * n // number for n in range(number + 1)]
        self.parts = [
            Part(Work(name, begin, end, fingerprinter, FORK.Value("q", begin, lock=False)))
            for begin, end in pairwise(ends)
        ]

    @property
    def done(self) -> int:
        """How many positions were read."""
        return sum(each.work.done.value - each.work.after for each in self.parts)

    def begin(self, *, with_partitions: bool) -> None:
        for each in self.parts:
            with suppress(OSError):  # it has died, which is raised when its records are read
                each.channel.send(with_partitions)

    def is_ready(self, seconds: float) -> bool:
        """Whether all has been read, or failed, at last after so long."""
        return all(each.channel.poll(seconds) for each in self.parts)

    def __iter__(self) -> Iterator[bytes]:
        """Once. Raises LogFailed, BrokerProblem."""
        return merged([each.blocks() for each in self.parts])

    def close(self) -> None:
        for each in self.parts:
            each.close()


@lru_cache(maxsize=50_000)
def murmur2(key: bytes) -> int:
    """As org.apache.kafka.common.utils.Utils.murmur2, made positive."""
    length, mask, m = len(key), 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ length
    for at in range(0, length - length % 4, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        h = h * m & mask ^ (k ^ k >> 24) * m & mask
    if rest := key[length - length % 4 :]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF
