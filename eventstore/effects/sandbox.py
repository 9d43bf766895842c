"""The book of a provider that we stand in for: by key, in a table of its own, whatever becomes of
the processes."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.db import close_old_connections

from eventstore.codec import encode_json
from eventstore.models import SandboxCall
from eventstore.postgres import rows

Answer = TypeVar("Answer")
Entry = dict[str, Any]

NEVER = 2**31 - 1
# How long a page is held open for who else calls just now: far shorter than what one commit for
# each call would take.
GATHER_SECONDS = 0.001

# In the order of the keys, so that two processes that ask for the same ones never wait for each
# other crosswise.
ENTER = """
    INSERT INTO {table} (tries, {columns})
    SELECT 1, {columns}
    FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET tries = {table}.tries + 1
    RETURNING key, tries
"""


class Course(NamedTuple):
    """How a call goes. done_at, answered_at: at which try of its key. late: whether the answer
    takes its time."""

    done_at: int = 1
    answered_at: int = 1
    late: bool = False


class Book:
    """Kept by a thread of its own: what many threads enter at once is one statement and one commit.

    model: a subclass of SandboxCall. late: seconds.
    """

    def __init__(self, model: type[SandboxCall], *, late: float) -> None:
        self.model, self.late = model, late
        self.clerk = ThreadPoolExecutor(1, thread_name_prefix=model._meta.db_table)
        self.lock = threading.Lock()
        self.page: dict[str, Entry] = {}
        self.written: Future[dict[str, int]] = Future()

    def enter(self, entry: Entry, course: Course) -> None:
        """Note one more try of entry["key"], and do it if this is the one. Raises TimeoutError for
        no answer."""
        written = self._put_down(entry | {"done_at": course.done_at})
        self.answer(course, written.result()[entry["key"]])

    def in_turn(self, work: Callable[[], Answer]) -> Answer:
        """What asks more of the database than that, done in the clerk's thread, on the clerk's
        connection."""
        return self.clerk.submit(_mending, work).result()

    def write(self, entries: Sequence[Entry]) -> dict[str, int]:
        """Returns how often each key has been tried by now. In the clerk's thread only."""
        statement = ENTER.format(table=self.model._meta.db_table, columns=", ".join(entries[0]))
        return dict(rows(statement, [encode_json(entries).decode()]))

    def answer(self, course: Course, tries: int) -> None:
        if course.late:
            time.sleep(self.late)
        if tries < course.answered_at:
            raise TimeoutError(f"No answer in time (try {tries}).")

    def _put_down(self, entry: Entry) -> "Future[dict[str, int]]":
        """Onto the page that is written next; a key that is on it already is another try, and
        begins a new one."""
        with self.lock:
            if not self.page or entry["key"] in self.page:
                self.page = {}
                self.written = self.clerk.submit(_mending, partial(self._write_page, self.page))
            self.page[entry["key"]] = entry
            return self.written

    def _write_page(self, page: dict[str, Entry]) -> dict[str, int]:
        time.sleep(GATHER_SECONDS)
        with self.lock:
            if self.page is page:
                self.page = {}
        return self.write(list(page.values()))


def _mending(work: Callable[[], Answer]) -> Answer:
    """A connection that broke is thrown away, so that whoever asks next has a new one."""
    try:
        return work()
    except Exception:
        close_old_connections()
        raise
