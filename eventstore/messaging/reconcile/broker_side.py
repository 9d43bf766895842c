"""What a broker holds, read back by a client of each kind."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from .log_side import Fingerprinter
from .records import FOUND
from .sorting import Sorter


class Message(NamedTuple):
    """One that was read, as the fields of a record. id: 16 bytes. position: that it names;
    NO_POSITION for none."""

    id: bytes
    digest: int
    partition: int
    offset: int
    position: int


class Reader(Protocol):
    """A client that reads a topic or a queue from its beginning to its end, and then, if it is
    asked again, on to the next end.

    place: its name. partitions: their number; 0 for a queue. total: messages up to the end, about.
    shortened: the partitions whose beginning was deleted. is_compacted: only the newest message of
    each key is kept. others: messages of other publications, which a queue may have.
    """

    place: str
    partitions: int
    total: int
    shortened: Sequence[int]
    is_compacted: bool
    others: int

    def read(self) -> Iterator[list[Message]]:
        """Batches up to the present end. Raises BrokerProblem."""

    def close(self) -> None: ...


class BrokerSide:
    """The messages between two positions of the log, sorted. first: partition -> the position of
    its first message. in_order: no message of a partition came after one of a later position."""

    def __init__(self, after: int, until: int) -> None:
        self.after, self.until = after, until
        self.sorted = Sorter(FOUND.size)
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.newer = self.earlier = 0
        self.in_order = True

    def add(self, messages: Sequence[Message]) -> None:
        kept, pack, first, last = [], FOUND.pack, self.first, self.last
        for message in messages:
            _, _, partition, _, position = message
            if partition not in first and position >= 0:
                first[partition] = position
            if position > self.until:
                self.newer += 1
            elif 0 <= position <= self.after:
                self.earlier += 1
            else:
                if position < last.get(partition, 0):
                    self.in_order = False
                last[partition] = position
                kept.append(pack(*message))
        self.sorted.add(kept)

    def first_positions(self, partitions: Sequence[int]) -> dict[int, int]:
        """Partition -> the position of its first message; behind the last one where it has none."""
        return {each: self.first.get(each, self.until + 1) for each in partitions}

    def close(self) -> None:
        self.sorted.close()


class Access(NamedTuple):
    """How a kind of broker is read back. fingerprinter: called in the process that reads the
    log."""

    fingerprinter: Callable[[], Fingerprinter]
    reader: Callable[[], Reader]
