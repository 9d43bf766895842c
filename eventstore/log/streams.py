"""Read one or several streams, in pages, so that memory use stays flat."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import heapify, heappop, heappush
from uuid import UUID

from django.db import DatabaseError

from eventstore import registry
from eventstore.messages import Event, Message
from eventstore.postgres import rows, rows_in_binary

from . import epochs
from .decode import COLUMNS, one_by_one, recorded
from .errors import LAST_VERSION
from .page_size import PAGE, limited, sized
from .scan import LAST_POSITION

# Events of one stream per query of read_newer.
MOST_NEWER = 1000

# What a fold needs of a recorded event: its stream, version and body. Decoding only that takes half
# the time.
Past = tuple[str, int, Event]

READ_FORWARDS = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE stream = %s AND version >= %s AND version <= %s
    ORDER BY version
    LIMIT {PAGE}
"""
READ_BACKWARDS = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE stream = %s AND version <= %s
    ORDER BY version DESC
    LIMIT {PAGE}
"""
READ_EVENT = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE id = %s
"""
# One index lookup per stream. For a plain join, the planner may merge the whole index with the
# list.
READ_NEWER = f"""
    SELECT stream, version, type, schema_version, data
    FROM unnest(%s::text[], %s::integer[]) AS known(name, seen)
    CROSS JOIN LATERAL (
        SELECT * FROM eventstore_event
        WHERE stream = name AND version > seen
        ORDER BY version
        LIMIT {MOST_NEWER}
    ) AS newer
"""
# For streams from a cache. Also checks, once, the epoch and that the log has the cached versions.
READ_NEWER_THAN_CACHED = f"""
    {READ_NEWER}
    WHERE eventstore_demand_epoch(%s)
    UNION ALL
    SELECT name, seen, NULL, NULL, NULL
    FROM unnest(%s::text[], %s::integer[]) AS known(name, seen)
    WHERE seen > 0 AND NOT EXISTS (
        SELECT FROM eventstore_event WHERE stream = name AND version = seen
    )
"""
# Events for one row of a read model: of its own streams, and of other streams that mention it.
READ_ABOUT = f"""
    SELECT {COLUMNS}
    FROM (
        SELECT newer.*
        FROM unnest(%s::text[], %s::integer[]) AS own(name, seen)
        CROSS JOIN LATERAL (
            SELECT * FROM eventstore_event WHERE stream = name AND version > seen ORDER BY version
        ) AS newer
        WHERE newer.position > %s
        UNION ALL
        SELECT *
        FROM eventstore_event
        WHERE type = ANY(%s) AND position > %s AND strpos(data::text, %s) > 0
    ) AS about
    ORDER BY position
"""
# Again one index lookup per stream. seen: versions to skip. The other conditions are one truth
# value, so that no index seems to serve for them.
OF_A_STREAM = """
    FROM unnest(%s::text[], %s::integer[]) AS wanted(name, seen)
    CROSS JOIN LATERAL (
        SELECT * FROM eventstore_event
        WHERE stream = name AND version > seen
          AND (position > %s AND position <= %s AND type = ANY(%s)) IS TRUE
        ORDER BY version
"""
READ_STREAMS = f"""
    SELECT {COLUMNS}
    {OF_A_STREAM}
    ) AS event
    ORDER BY position
    LIMIT %s
"""
# As READ_STREAMS, but only as many events as fit into a number of bytes of JSON, at least one;
# `found` counts all, and so says whether more follow. First limits by the stored size, which may be
# compressed and is known without fetching the value. So no more than several pages are unpacked to
# be measured.
READ_PAGE_OF_STREAMS = f"""
    SELECT {COLUMNS}, found
    FROM (
        SELECT *, sum(octet_length(data::text)) OVER in_order - octet_length(data::text) AS before
        FROM (
            SELECT *, count(*) OVER () AS found, row_number() OVER in_order AS number,
                   sum(pg_column_size(data)) OVER in_order - pg_column_size(data) AS stored_before
            FROM (
                SELECT event.*
                {OF_A_STREAM}
                    LIMIT %s
                ) AS event
                ORDER BY position
                LIMIT %s
            ) AS event
            WINDOW in_order AS (ORDER BY position ROWS UNBOUNDED PRECEDING)
        ) AS stored
        WHERE number <= %s AND stored_before < %s
        WINDOW in_order AS (ORDER BY position ROWS UNBOUNDED PRECEDING)
    ) AS page
    WHERE before < %s
    ORDER BY position
"""
FIRST_OF_STREAMS = f"""
    SELECT event.position, event.version, event.stream
    {OF_A_STREAM}
        LIMIT 1
    ) AS event
"""
POSITIONS = """
    SELECT stream, position
    FROM unnest(%s::text[], %s::int[]) AS wanted(name, at)
    CROSS JOIN LATERAL (
        SELECT stream, position FROM eventstore_event
        WHERE stream = name AND version = at
    ) AS event
"""


class AheadOfTheLog(Exception):
    """A cached version of a stream is not in the log."""

    def __init__(self, stream: str, version: int) -> None:
        super().__init__(f"Version {version} of {stream} is cached and not in the log.")
        self.stream, self.version = stream, version


def read_stream(
    stream: str,
    *,
    from_version: int = 1,
    to_version: int = LAST_VERSION,
    until: datetime | None = None,
    limit: int | None = None,
) -> Iterator[Message]:
    """The events in order, in pages, so that memory use stays flat. limit: maximum of events.

    until: stop before the first event that was recorded later. Times come from the server's clock,
    which may be set back; the result is still the beginning of the stream without a gap, and so a
    state that it had. Raises InvalidLimit.
    """
    statement, _ = sized(READ_FORWARDS, limit)
    return limited(_forwards(statement, stream, from_version, to_version, until), limit)


def read_backwards(
    stream: str, *, from_version: int = LAST_VERSION, limit: int | None = None
) -> Iterator[Message]:
    """The stream's events, newest first. limit: maximum of events. Raises InvalidLimit."""
    statement, _ = sized(READ_BACKWARDS, limit)
    return limited(_backwards(statement, stream, from_version), limit)


def read_last(stream: str) -> Message | None:
    """The newest event of the stream; None if the stream does not exist."""
    return next(read_backwards(stream, limit=1), None)


def read_event(id: UUID) -> Message | None:
    """The event with that id; None if there is none."""
    return next(iter(recorded(rows_in_binary(READ_EVENT, [id]))), None)


def read_newer(streams: Mapping[str, int], *, epoch: int | None = None) -> Iterator[Past]:
    """The events after the given version of each stream, in the order of each stream; one query for
    all streams.

    Streams that fill a page are queried again, so that memory use stays flat for long streams.
    epoch: the mark of the epoch in which the versions were cached, if they come from a cache. Then
    raises epochs.EpochOver or AheadOfTheLog, before the first event.
    """
    reader = registry.reader
    while streams:
        seen = [list(streams), list(streams.values())]
        try:
            if epoch is None:
                page = rows_in_binary(READ_NEWER, seen)
            else:
                page = rows_in_binary(READ_NEWER_THAN_CACHED, [*seen, epoch, *seen])
        except DatabaseError as error:
            if epochs.is_over(error):
                raise epochs.over() from error
            raise
        # A row for a stream that is ahead comes last, and must be noticed before any event is used.
        if epoch is not None and page and page[-1][2] is None:
            raise AheadOfTheLog(*page[-1][:2])
        for stream, version, type_, schema_version, data in page:
            yield stream, version, reader(type_, schema_version)(data)
        counts = Counter(row[0] for row in page)
        streams = {row[0]: row[1] for row in page if counts[row[0]] == MOST_NEWER}


def read_about(
    streams: Mapping[str, int], *, foreign_types: Sequence[str], naming: str, after: int
) -> list[Message]:
    """The events of these streams after the given version of each, and the events of other streams
    with one of the foreign types that contain the text `naming`; after a position, in global
    order."""
    params = [list(streams), list(streams.values()), after, list(foreign_types), after, naming]
    return list(recorded(rows_in_binary(READ_ABOUT, params)))


def read_streams(
    streams: Sequence[str],
    *,
    types: Sequence[str],
    after: int = 0,
    until: int = LAST_POSITION,
    limit: int | None = PAGE,
) -> list[Message]:
    """The first events of the given stored types in any of these streams, in global order."""
    params = [list(streams), [0] * len(streams), after, until, list(types), limit]
    return list(recorded(rows_in_binary(READ_STREAMS, params)))


def read_page_of_streams(
    streams: Sequence[str],
    *,
    types: Sequence[str],
    after: int,
    until: int,
    limit: int,
    bytes_: int,
    seen: Sequence[int] = (),
) -> tuple[list[Message], bool]:
    """As read_streams, but no more than fit into so many bytes of JSON, at least one; and whether
    more follow. seen: for each stream, a version up to which its events can be skipped."""
    bounds = [list(streams), list(seen) or [0] * len(streams), after, until, list(types)]
    limits = [limit + 1, limit + 1, limit, bytes_, bytes_]
    page = rows_in_binary(READ_PAGE_OF_STREAMS, [*bounds, *limits])
    return list(recorded([row[:-1] for row in page])), bool(page) and page[0][-1] > len(page)


def read_merged(
    streams: Iterable[str],
    *,
    types: Sequence[str],
    bytes_: int,
    after: int = 0,
    until: int = LAST_POSITION,
    size: int = PAGE,
) -> Iterator[list[Message]]:
    """All events of the given stored types in these streams, in global order, in pages. A page has
    at most `size` events, and at most so many bytes of JSON or one event.

    A merge with a heap of the streams' next events: each page looks into no more streams than it
    can have events. So all pages together read each event about twice, for any number of streams.
    Nothing stays open between two pages.
    """
    unread = [(0, name) for name in streams]
    ahead = _first_of(unread, after, until, types) if unread else []
    heapify(ahead)
    while ahead:
        near = [heappop(ahead) for _ in range(min(size, len(ahead)))]
        before = ahead[0][0] - 1 if ahead else until
        page, more = read_page_of_streams(
            [name for *_, name in near],
            seen=[version - 1 for _, version, _ in near],
            types=types,
            after=after,
            until=before,
            limit=size,
            bytes_=bytes_,
        )
        yield page
        after = page[-1].position if more else before
        seen = ((version - 1, name) for _, version, name in near)
        for first in _first_of(seen, after, until, types):
            heappush(ahead, first)


def _first_of(
    seen: Iterable[tuple[int, str]], after: int, until: int, types: Sequence[str]
) -> list[tuple[int, int, str]]:
    """Position, version and stream of the first event of each stream after a position; without the
    streams that have none. seen: a version up to which events can be skipped, and the stream."""
    versions, names = zip(*seen, strict=True)
    return rows_in_binary(
        FIRST_OF_STREAMS, [list(names), list(versions), after, until, list(types)]
    )


def positions_at(versions: Mapping[str, int]) -> dict[str, int]:
    """Stream -> the position of its event with that version; without the streams that lack it."""
    return dict(rows(POSITIONS, [list(versions), list(versions.values())]))


def _forwards(
    statement: str, stream: str, from_version: int, to_version: int, until: datetime | None
) -> Iterator[Message]:
    while page := rows_in_binary(statement, [stream, from_version, to_version]):
        for message in recorded(page):
            if until is not None and message.recorded_at > until:
                return
            yield message
        from_version = page[-1][3] + 1


def _backwards(statement: str, stream: str, from_version: int) -> Iterator[Message]:
    while page := rows_in_binary(statement, [stream, from_version]):
        yield from one_by_one(page)
        from_version = page[-1][3] - 1
