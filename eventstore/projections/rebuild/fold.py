"""Fold a stretch of the log into a shadow, as fast as it goes: rows stay in memory until a
checkpoint writes them.

The events of a row lie close together in the log, so most rows are made, changed and done with
between two checkpoints, and are written once, by COPY. The next page of the log is read while this
one is folded.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from math import inf
from typing import Any
from zlib import crc32

from django.db import DatabaseError, transaction

from eventstore import codec, projections, registry
from eventstore.codec import encode_json
from eventstore.outbox import cursors
from eventstore.postgres import copy_into, execute, rows, rows_in_binary
from eventstore.subscriptions import Projection, Row

PAGE = 5000
# Rows in memory: at most so many that are not written yet, and as many again that were written
# last.
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

Recorded = tuple[int, int | None, str, int, str, Any]
Advance = Callable[[int, int, int, float], None]


class RebuildFailed(Exception):
    """An event could not be folded, or its row not be written; the live table is as it was."""


class Share:
    """The keys of one process among several: whoever has the n-th part knows its own by their
    sum."""

    def __init__(self, number: int, count: int) -> None:
        self.number, self.count = number, count

    def __contains__(self, key: str) -> bool:
        return self.count == 1 or crc32(key.encode()) % self.count == self.number


WHOLE = Share(0, 1)


class Rows:
    """The rows of a table that were touched last, as they are and as they are to be."""

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
        self.changed[key] = projections.step(
            self.projection, key, row, event, position, version, at
        )

    def write(self) -> None:
        """What is there already is taken away first, so that there is one way in."""
        there = [key for key in self.changed if self.written.get(key) is not None]
        if there:
            execute(DELETE.format(table=self.table, key=self.key), [there]).close()
        lines = [self._line(row) for row in self.changed.values() if row is not None]
        if lines:
            copy_into(self.table, "".join(lines).encode())

    def settle(self) -> None:
        """What was written is committed."""
        self.written, self.changed = self.changed, {}

    def _line(self, row: Row) -> str:
        return (
            "\t".join([_cell(row.get(column), is_json) for column, is_json in self.columns]) + "\n"
        )


def fold(
    name: str,
    projection: Projection,
    table: str,
    *,
    share: Share = WHOLE,
    after: int,
    until: int,
    advance: Advance,
    tell: Callable[[], None] = lambda: None,
    seconds: float = inf,
) -> int:
    """Fold what lies between, or what can be in that many seconds; returns how far it came.

    advance(before, to, events, seconds) is called in each commit, tell after it. Raises
    RebuildFailed, or what they do.
    """
    kept, position, events = Rows(projection, table), after, 0
    begun = started = time.monotonic()

    def checkpoint(to: int) -> None:
        nonlocal position, events, started
        _commit(kept, lambda: advance(position, to, events, time.monotonic() - started))
        tell()
        gc.collect()  # should a function of the projection have made cycles all the same
        position, events, started = to, 0, time.monotonic()

    with _collector_at_rest():
        for page in _pages(name, projection, after, until):
            events += _fold_page(kept, share, page)
            turn_over = time.monotonic() - begun > seconds
            if (
                turn_over
                or len(kept.changed) >= ROWS
                or time.monotonic() - started > CHECKPOINT_SECONDS
            ):
                checkpoint(page[-1][0])
            if turn_over:
                return position
    if position < until:
        checkpoint(until)
    return position


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Rows and events hold no cycles, and looking for some among thousands of them takes a third of
    the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _pages(name: str, projection: Projection, after: int, until: int) -> Iterator[list[Recorded]]:
    """The log in pages, each read while the one before it is folded, on a connection of its own.

    Inside of a transaction, on the connection of that.
    """
    heard, category = list(cursors.event_types_of(name)), f"{projection.category}-"

    def read(after: int) -> list[Recorded]:
        return rows_in_binary(READ, [category, after, until, heard, PAGE]) if after < until else []

    if transaction.get_connection().in_atomic_block:
        while page := read(after):
            yield page
            after = page[-1][0]
        return
    with ThreadPoolExecutor(1) as reader:
        try:
            page = read(after)
            while page:
                ahead = reader.submit(read, page[-1][0] if len(page) == PAGE else until)
                yield page
                page = ahead.result()
        finally:
            reader.submit(lambda: transaction.get_connection().close())


def _fold_page(kept: Rows, share: Share, page: Sequence[Recorded]) -> int:
    ours = [(key, event, recorded) for key, event, recorded in _events(kept, page) if key in share]
    kept.load({key for key, _, _ in ours})
    for key, event, recorded in ours:
        try:
            kept.fold(key, event, recorded)
        except Exception as error:
            raise _failed(recorded, error) from error
    return len(ours)


def _events(kept: Rows, page: Sequence[Recorded]) -> Iterator[tuple[str, Any, Recorded]]:
    key = kept.projection.key
    for recorded in page:
        try:
            event = registry.decode(recorded[2], recorded[3], recorded[4])
            yield key(event), event, recorded
        except (registry.UnknownType, codec.Undecodable, LookupError, AttributeError) as error:
            raise _failed(recorded, error) from error


def _commit(kept: Rows, advance: Callable[[], None]) -> None:
    try:
        with transaction.atomic():
            kept.write()
            advance()
    except DatabaseError as error:
        raise _refused(kept, error) or error from error
    kept.settle()


def _refused(kept: Rows, error: DatabaseError) -> RebuildFailed | None:
    """The first row that the table does not take by itself; None when it was not a row's fault."""
    for key, row in kept.changed.items():
        alone = Rows(kept.projection, kept.table)
        alone.written, alone.changed = {key: kept.written.get(key)}, {key: row}
        try:
            with transaction.atomic():
                alone.write()
                transaction.set_rollback(True)
        except DatabaseError as its_own:
            position = row["position"] if row else "an unknown position"
            return RebuildFailed(f"the row {key!r} as of position {position}: {its_own}")
    return None


def _failed(recorded: Recorded, error: Exception) -> RebuildFailed:
    return RebuildFailed(f"{recorded[2]} at position {recorded[0]}: {error!r}")


def _cell(value: Any, is_json: bool) -> str:
    """As JSON would be put into the column, so that a rebuilt row is the same as one that a
    subscription has written."""
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
