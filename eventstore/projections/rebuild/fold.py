"""Fold a stretch of the log into a shadow table as fast as possible.

Rows stay in memory until a checkpoint writes them. The events of a row are close together in the
log, so most rows are created, changed and finished between two checkpoints, and are written once,
by COPY. The next page of the log is read while the current one is folded.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from math import inf
from typing import Any, NamedTuple
from zlib import crc32

from django.db import DatabaseError, transaction

from eventstore import codec, projections, registry
from eventstore.codec import encode_json
from eventstore.outbox import cursors
from eventstore.postgres import copy_into, execute, quoted, rows, rows_in_binary
from eventstore.results import InvalidResult
from eventstore.subscriptions import Projection, Row

# Events in a page.
PAGE = 5000
# Rows in memory: at most this many unwritten ones, and as many again that were written last.
ROWS = 10_000
CHECKPOINT_SECONDS = 2.0

READ = """
    SELECT position, CASE WHEN starts_with(stream, %s)
        THEN version END, type, schema_version, data, recorded_at
    FROM eventstore_event
    WHERE position > %s AND position <= %s AND type = ANY(%s)
    ORDER BY position
    LIMIT %s
"""
DELETE = "DELETE FROM {table} WHERE {key} = ANY(%s)"
COLUMNS = """
    SELECT attname, atttypid IN ('json'::regtype, 'jsonb'::regtype)
    FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""
ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})

# Columns of READ: position, version, type, schema version, data, time. version: None for an event
# of another stream than the row's own.
Recorded = tuple[int, int | None, str, int, str, Any]


class RebuildFailed(Exception):
    """An event could not be folded or a row could not be written. The live table is unchanged."""


class Checkpoint(NamedTuple):
    """A stretch of the log whose rows are written. before, to: positions. events: number folded."""

    before: int
    to: int
    events: int
    seconds: float


class Share:
    """The keys that one of several processes folds, chosen by checksum."""

    def __init__(self, number: int, count: int) -> None:
        self.number, self.count = number, count

    def __contains__(self, key: str) -> bool:
        return self.count == 1 or crc32(key.encode()) % self.count == self.number


WHOLE = Share(0, 1)


class Rows:
    """The rows touched last. written: as they are in the table. changed: not written yet."""

    def __init__(self, projection: Projection, table: str) -> None:
        self.projection, self.table = projection, table
        self.key = str(projection.model._meta.pk.column)
        self.columns = list(rows(COLUMNS, [table]))
        self.written: dict[str, Row | None] = {}
        self.changed: dict[str, Row | None] = {}

    def load(self, keys: set[str]) -> None:
        missing = [key for key in keys if key not in self.changed and key not in self.written]
        if missing:
            found = projections.load(self.table, self.key, missing)
            self.written.update({key: found.get(key) for key in missing})

    def fold(self, key: str, event: Any, recorded: Recorded) -> None:
        position, version, _, _, _, at = recorded
        row = self.changed[key] if key in self.changed else self.written[key]
        self.changed[key] = projections.fold_event(
            self.projection, key, row, event, position, version, at
        )

    def write(self) -> None:
        """Delete what exists already, so that COPY can insert every row."""
        existing = [key for key in self.changed if self.written.get(key) is not None]
        if existing:
            execute(DELETE.format(table=self.table, key=quoted(self.key)), [existing]).close()
        projections.require_storable(
            self.projection.model, [row for row in self.changed.values() if row is not None]
        )
        lines = [
            "\t".join([_cell(row.get(column), is_json) for column, is_json in self.columns]) + "\n"
            for row in self.changed.values()
            if row is not None
        ]
        if lines:
            copy_into(self.table, "".join(lines).encode())

    def mark_written(self) -> None:
        """Call it after the commit."""
        self.written, self.changed = self.changed, {}

    def rejected_row(self) -> RebuildFailed | None:
        """The error of the first row that the table rejects by itself; None when no row is at
        fault."""
        for key, row in self.changed.items():
            alone = Rows(self.projection, self.table)
            alone.written, alone.changed = {key: self.written.get(key)}, {key: row}
            try:
                with transaction.atomic():
                    alone.write()
                    transaction.set_rollback(True)
            except (DatabaseError, InvalidResult) as error:
                position = row["position"] if row else "an unknown position"
                return RebuildFailed(f"the row {key!r} as of position {position}: {error}")
        return None


class Fold:
    """Folds the events of one projection between two positions, checkpoint by checkpoint.

    share: the keys to fold. save_progress: called inside the commit of each checkpoint; what it
    raises rolls the checkpoint back. on_checkpoint: called after the commit.
    """

    def __init__(
        self,
        name: str,
        projection: Projection,
        table: str,
        *,
        after: int,
        until: int,
        save_progress: Callable[[Checkpoint], None],
        share: Share = WHOLE,
        on_checkpoint: Callable[[], None] = lambda: None,
    ) -> None:
        self.projection, self.share, self.until = projection, share, until
        self.save_progress, self.on_checkpoint = save_progress, on_checkpoint
        self.event_types = list(cursors.event_types_of(name))
        self.rows = Rows(projection, table)
        # Up to this position the rows are committed.
        self.position = after
        self.events_since, self.checkpoint_at = 0, time.monotonic()

    def run(self, *, seconds: float = inf) -> None:
        """Fold up to the end, or as far as possible in that many seconds. Raises RebuildFailed, and
        what save_progress and on_checkpoint raise."""
        end = time.monotonic() + seconds
        with _garbage_collected_at_checkpoints():
            for page in self._pages():
                self._fold_page(page)
                now = time.monotonic()
                is_out_of_time = now > end
                is_overdue = now - self.checkpoint_at > CHECKPOINT_SECONDS
                if is_out_of_time or is_overdue or len(self.rows.changed) >= ROWS:
                    self.checkpoint(page[-1][0])
                if is_out_of_time:
                    return
        if self.position < self.until:
            self.checkpoint(self.until)

    def checkpoint(self, to: int) -> None:
        """Commit the rows, and that they are folded up to this position."""
        try:
            with transaction.atomic():
                self.rows.write()
                seconds = time.monotonic() - self.checkpoint_at
                self.save_progress(Checkpoint(self.position, to, self.events_since, seconds))
        except (DatabaseError, InvalidResult) as error:
            raise self.rows.rejected_row() or error from error
        self.rows.mark_written()
        self.on_checkpoint()
        gc.collect()  # a function of the projection may have made reference cycles
        self.position, self.events_since, self.checkpoint_at = to, 0, time.monotonic()

    def _fold_page(self, page: Sequence[Recorded]) -> None:
        ours = []
        for recorded in page:
            try:
                event = registry.decode(recorded[2], recorded[3], recorded[4])
                key = self.projection.key(event)
            except (registry.UnknownType, codec.Undecodable, LookupError, AttributeError) as error:
                raise _failed(recorded, error) from error
            if key in self.share:
                ours.append((key, event, recorded))
        self.rows.load({key for key, _, _ in ours})
        for key, event, recorded in ours:
            try:
                self.rows.fold(key, event, recorded)
            except Exception as error:
                raise _failed(recorded, error) from error
        self.events_since += len(ours)

    def _pages(self) -> Iterator[list[Recorded]]:
        page = self._read(self.position)
        # Inside a transaction, only its own connection sees what it has written.
        if transaction.get_connection().in_atomic_block:
            while page:
                yield page
                page = self._read(page[-1][0])
            return
        # A thread with its own connection reads each page while the one before it is folded.
        with ThreadPoolExecutor(1) as reader:
            try:
                while page:
                    is_last = len(page) < PAGE
                    ahead = reader.submit(self._read, self.until if is_last else page[-1][0])
                    yield page
                    page = ahead.result()
            finally:
                reader.submit(lambda: transaction.get_connection().close())

    def _read(self, after: int) -> list[Recorded]:
        if after >= self.until:
            return []
        own_streams = f"{self.projection.category}-"
        return rows_in_binary(READ, [own_streams, after, self.until, self.event_types, PAGE])


@contextmanager
def _garbage_collected_at_checkpoints() -> Iterator[None]:
    """Rows and events hold no reference cycles; searching thousands of them for cycles takes a
    third of the time. What the process has loaded before is not searched at all."""
    was_enabled, was_frozen = gc.isenabled(), gc.get_freeze_count() > 0
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        if not was_frozen:
            gc.unfreeze()
        if was_enabled:
            gc.enable()


def _failed(recorded: Recorded, error: Exception) -> RebuildFailed:
    return RebuildFailed(f"{recorded[2]} at position {recorded[0]}: {error!r}")


def _cell(value: Any, is_json: bool) -> str:
    """A value in the text format of COPY, as JSON would put it into the column: a rebuilt row is
    then identical to one that the subscription wrote."""
    kind = type(value)
    if value is None:
        return "\\N"
    if kind is int or kind is datetime:
        return str(value)
    if is_json or kind is not str:
        value = encode_json(value).decode()
        if not is_json and value[0] == '"':
            value = codec.decode_json(value)
    text: str = value
    return text if text.isprintable() and "\\" not in text else text.translate(ESCAPED)
