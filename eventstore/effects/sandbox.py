"""The ledger of a sandbox provider: a row for each key, which outlives every process."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from django.db import close_old_connections

from eventstore.codec import encode_json
from eventstore.models import SandboxCall
from eventstore.postgres import quoted, rows

Answer = TypeVar("Answer")
Entry = dict[str, Any]

NEVER = 2**31 - 1
# How long a batch waits for concurrent calls: far less than a commit for each call would take.
GATHER_SECONDS = 0.001

# Rows are locked in the order of their keys, so that two processes never deadlock.
ENTER = """
    INSERT INTO {table} (tries, {columns})
    SELECT 1, {columns}
    FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET tries = {table}.tries + 1
    RETURNING key, tries
"""


class Course(NamedTuple):
    """How a call goes. done_at, answered_at: the number of the try that does it, or that is
    answered. late: whether the answer is slow."""

    done_at: int = 1
    answered_at: int = 1
    late: bool = False


class Batch:
    """Entries of concurrent calls, by key, that become one statement."""

    def __init__(self, book: "Book") -> None:
        self.book, self.entries, self.is_open = book, dict[str, Entry](), True
        self.written = book.writer.submit(_drop_connection_on_error, self.write)

    def write(self) -> dict[str, int]:
        """Returns the number of tries of each key."""
        time.sleep(GATHER_SECONDS)
        with self.book.lock:
            self.is_open = False
        return self.book.write(list(self.entries.values()))


class Book:
    """The ledger. One thread writes it: concurrent calls become one statement and one commit.

    model: a subclass of SandboxCall. late: how many seconds a late answer takes.
    """

    def __init__(self, model: type[SandboxCall], *, late: float) -> None:
        self.model, self.late = model, late
        self.writer = ThreadPoolExecutor(1, thread_name_prefix=model._meta.db_table)
        self.lock = threading.Lock()
        self.batch: Batch | None = None

    def enter(self, entry: Entry, course: Course) -> None:
        """Count one more try of entry["key"], and carry it out if the course says so.

        Raises TimeoutError if the course gives this try no answer.
        """
        key = entry["key"]
        with self.lock:
            batch = self.batch
            # A second try of a key cannot be in the same statement.
            if batch is None or not batch.is_open or key in batch.entries:
                batch = self.batch = Batch(self)
            batch.entries[key] = entry | {"done_at": course.done_at}
        self.answer(course, batch.written.result()[key])

    def in_turn(self, work: Callable[[], Answer]) -> Answer:
        """Run other work on the database in the writer's thread, on its connection."""
        return self.writer.submit(_drop_connection_on_error, work).result()

    def write(self, entries: Sequence[Entry]) -> dict[str, int]:
        """Returns the number of tries of each key. Call it in the writer's thread."""
        statement = ENTER.format(
            table=quoted(self.model._meta.db_table), columns=", ".join(map(quoted, entries[0]))
        )
        return dict(rows(statement, [encode_json(entries).decode()]))

    def answer(self, course: Course, tries: int) -> None:
        """Raises TimeoutError if the course gives this try no answer."""
        if course.late:
            time.sleep(self.late)
        if tries < course.answered_at:
            raise TimeoutError(f"No answer in time (try {tries}).")


def _drop_connection_on_error(work: Callable[[], Answer]) -> Answer:
    """The connection may be broken; the next call then opens a new one."""
    try:
        return work()
    except Exception:
        close_old_connections()
        raise
