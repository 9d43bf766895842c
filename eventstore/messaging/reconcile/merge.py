"""Merge the two sides by id, and then, where it is needed, by key: what differs.

Both sides are sorted beforehand (sorting.py), so memory does not grow with the log or the topic. A
merge in the order of arrival would have to remember each id: a topic repeats its whole history when
a relay is reset.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import NamedTuple

from . import records
from .records import ABSENT, AT_BROKER, COMPARED, DIGEST, ID, LAST_PLACE, ORDERED
from .report import ALTERED, DISORDERED, FOREIGN, MISSING, PARKED, REPEATED, Difference
from .sorting import Sorter

# Records that are compared at once, as long as nothing differs.
BLOCK = 1000


class Gone(NamedTuple):
    """What a broker no longer has. partitions: their number, by which Kafka places a key; 0 for a
    queue. until: partition -> the position of its first message, where earlier ones were deleted.
    is_compacted: only the newest message of each key is kept."""

    partitions: int = 0
    until: dict[int, int] = {}
    is_compacted: bool = False

    def partition_of(self, murmur: int) -> int:
        return murmur % self.partitions if self.partitions else 0


class Merge:
    """by_key: where messages go whose order is to be compared; None if it was seen to be right.
    on_missing: called with each record of a missing message. expired: partition -> number of
    messages that retention has deleted. compacted: number of those that compaction has removed.
    expected: number of all."""

    def __init__(
        self,
        gone: Gone,
        by_key: Sorter | None = None,
        on_missing: Callable[[bytes], None] = lambda record: None,
    ) -> None:
        self.gone, self.by_key, self.on_missing = gone, by_key, on_missing
        self.expired: dict[int, int] = {}
        self.compacted = self.expected = 0

    def differences(
        self, expected: Iterable[bytes], found: Iterable[bytes]
    ) -> Iterator[Difference]:
        """Both in ascending order."""
        ours, theirs = iter(expected), iter(found)
        held: list[bytes] = []
        while wanted := list(islice(ours, BLOCK)):
            self.expected += len(wanted)
            # One more, which may repeat the last one.
            held += islice(theirs, len(wanted) + 1 - len(held))
            if self.by_key is None and _are_equal(wanted, held):
                del held[: len(wanted)]
                continue
            ahead = iter(held)
            head = yield from self._one_by_one(wanted, chain(ahead, theirs))
            held = [] if head is None else [head, *ahead]
        yield from map(_foreign, chain(held, theirs))
        if self.by_key is not None:
            yield from self._in_order_of_keys(self.by_key)
            self.by_key.close()

    def _one_by_one(
        self, wanted: Iterable[bytes], theirs: Iterator[bytes]
    ) -> Generator[Difference, None, bytes | None]:
        """Returns the first found record behind those wanted."""
        head = next(theirs, None)
        for record in wanted:
            id_, same = record[ID], []
            while head is not None and head[ID] < id_:
                yield _foreign(head)
                head = next(theirs, None)
            while head is not None and head[ID] == id_:
                same.append(head)
                head = next(theirs, None)
            if not same:
                yield from self._absent(record)
                continue
            same.sort(key=itemgetter(AT_BROKER))
            for number, each in enumerate(same):
                if number:
                    yield _difference(REPEATED, record, each)
                if each[DIGEST] != record[DIGEST]:
                    yield _difference(ALTERED, record, each)
            if self.by_key is not None:
                self._note(record, same[0])
        return head

    def _absent(self, record: bytes) -> Iterator[Difference]:
        wanted = records.expected(record)
        partition = self.gone.partition_of(wanted.murmur)
        if wanted.is_parked:
            yield Difference(PARKED, wanted.position)
        elif wanted.position < self.gone.until.get(partition, 0):
            self.expired[partition] = self.expired.get(partition, 0) + 1
        elif self.gone.is_compacted and self.by_key is not None:
            self._note(record, None)
        else:
            self.on_missing(record)
            yield Difference(MISSING, wanted.position)

    def _note(self, record: bytes, first: bytes | None) -> None:
        assert self.by_key is not None
        wanted = records.expected(record)
        place = (ABSENT, 0) if first is None else records.found(first)[2:4]
        self.by_key.add([ORDERED.pack(wanted.key, LAST_PLACE - wanted.place, *place)])

    def _in_order_of_keys(self, by_key: Iterable[bytes]) -> Iterator[Difference]:
        """Each key from its newest message to its oldest: each must be before the newer one. The
        first message of each id counts; in another partition nothing is known."""
        key, newer = None, None
        for each in map(records.ordered, by_key):
            if each.key != key:
                key, newer = each.key, None
            if each.partition == ABSENT:
                if newer is None:
                    yield Difference(MISSING, each.position)
                self.compacted += newer is not None
                continue
            if newer and newer.partition == each.partition and newer.offset < each.offset:
                yield Difference(DISORDERED, newer.position, newer.partition, newer.offset)
            newer = each


def still_missing(missing: Iterable[bytes], arrived: Iterable[bytes]) -> Iterator[bytes]:
    """Those that have not arrived since. Both in ascending order."""
    theirs = iter(arrived)
    head = next(theirs, None)
    for record in missing:
        while head is not None and head[ID] < record[ID]:
            head = next(theirs, None)
        if head is None or head[ID] != record[ID]:
            yield record


def _are_equal(wanted: Sequence[bytes], held: Sequence[bytes]) -> bool:
    """Whether each wanted record was found once, as it should be. held: those found, and the next
    one."""
    if len(held) > len(wanted) and held[-1][ID] == wanted[-1][ID]:
        return False
    compared = itemgetter(COMPARED)
    return list(map(compared, wanted)) == list(map(compared, held[: len(wanted)]))


def _foreign(record: bytes) -> Difference:
    each = records.found(record)
    return Difference(FOREIGN, None, each.partition, each.offset)


def _difference(kind: str, wanted: bytes, found: bytes) -> Difference:
    each = records.found(found)
    return Difference(kind, records.expected(wanted).position, each.partition, each.offset)
