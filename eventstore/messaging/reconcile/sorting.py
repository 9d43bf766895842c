"""Sort records of one length in bounded memory: an external merge sort (Knuth, The Art of Computer
Programming, volume 3, 5.4)."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

# Records in memory, with what Python adds to each, before they go to a file.
MEMORY_BYTES = 48 << 20
# Of the object, and of its place in a list.
OBJECT_BYTES = 48
BLOCK_RECORDS = 2048
# So many files are open at most; they are merged into one then.
MOST_FILES = 64


class Sorter:
    """Takes records in any order, and gives them in ascending order of their bytes, any number of
    times. size: of one record, in bytes. memory: bytes before records go to a temporary file."""

    def __init__(self, size: int, *, memory: int = MEMORY_BYTES) -> None:
        self.size = size
        self.most = max(memory // (size + OBJECT_BYTES), 1)
        self.records: list[bytes] = []
        self.files: list[IO[bytes]] = []
        self.count = 0
        self.open = ExitStack()

    def add(self, records: Iterable[bytes]) -> None:
        before = len(self.records)
        self.records.extend(records)
        self.count += len(self.records) - before
        if len(self.records) < self.most:
            return
        self.records.sort()
        run: Iterable[bytes] = self.records
        old = ExitStack()
        if len(self.files) == MOST_FILES:
            run = iter(self)
            old, self.files = self.open.pop_all(), []
        file = self.open.enter_context(TemporaryFile())  # noqa: SIM115  closed by close()
        with old:
            file.writelines(run)
        self.files.append(file)
        self.records = []

    def add_one(self, record: bytes) -> None:
        self.add((record,))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[bytes]:
        self.records.sort()
        if not self.files:
            return iter(self.records)
        in_memory = (
            self.records[start : start + BLOCK_RECORDS]
            for start in range(0, len(self.records), BLOCK_RECORDS)
        )
        return merged([*(self._read(file) for file in self.files), in_memory])

    def close(self) -> None:
        self.open.close()

    def _read(self, file: IO[bytes]) -> Iterator[list[bytes]]:
        file.seek(0)
        while block := file.read(self.size * BLOCK_RECORDS):
            yield split(block, self.size)


def split(block: bytes, size: int) -> list[bytes]:
    """The records of one length that a block has."""
    return [block[start : start + size] for start in range(0, len(block), size)]


def merged(runs: Sequence[Iterator[Sequence[bytes]]]) -> Iterator[bytes]:
    """Runs, each of blocks in ascending order, as one. Sorts what is not larger than the smallest
    end of a block: several times as fast as a heap, which compares record by record in Python."""
    heads = [(block, run) for run in runs if (block := _next(run))]
    while heads:
        limit = min(block[-1] for block, _ in heads)
        taken, left = list[bytes](), []
        for block, run in heads:
            cut = bisect_right(block, limit)
            taken += block[:cut]
            if rest := block[cut:] or _next(run):
                left.append((rest, run))
        taken.sort()
        yield from taken
        heads = left


def _next(run: Iterator[Sequence[bytes]]) -> Sequence[bytes]:
    """Its next block with records; an empty one at its end."""
    return next(filter(None, run), ())
