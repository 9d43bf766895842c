"""Read a stream or the log, in pages, so that memory stays flat."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from eventstore import codec, registry
from eventstore.messages import Event, Message, Metadata
from eventstore.postgres import rows, rows_in_binary, rows_meanwhile

from . import epochs
from .errors import LAST_VERSION

LAST_POSITION = 2**63 - 1
# What a socket holds of events of usual size: the server has sent a page before the one ahead of it
# is decoded.
PAGE = 250
# Who wants few events reads no whole page. Of these sizes only, so that few statements are
# prepared.
SMALLER_PAGES = (1, 20)
# Of one stream at a time, to be folded.
MOST_NEWER = 1000
NO_NOTES = "{}"

Page = Sequence[tuple[Any, ...]]
# Of a recorded event what a fold needs, its stream, version and body; to read no more than that
# takes half the time.
Past = tuple[str, int, Event]

FENCE = "SELECT eventstore_fence()"
FENCE_AND_EPOCH = "SELECT eventstore_fence(), eventstore_mark()"

COLUMNS = """
    position, id, stream, version, type, schema_version, data,
    correlation_id, causation_id, metadata, recorded_at
"""
# The size of a page stands in the statements themselves: a plan made for any size is never thought
# good enough to be kept, and then each page is planned anew.
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
# One look into the index for each stream: as a plain join, the planner may merge the whole index
# with the list.
READ_NEWER = f"""
    SELECT stream, version, type, schema_version, data
    FROM unnest(%s::text[], %s::integer[]) AS known(name, seen)
    CROSS JOIN LATERAL (
        SELECT * FROM eventstore_event WHERE stream = name AND version > seen ORDER BY version
            LIMIT {MOST_NEWER}
    ) AS newer
"""
# For who remembers the streams: the epoch is asked for, and whether the log has what is remembered,
# once.
READ_NEWER_THAN_REMEMBERED = f"""
    {READ_NEWER}
    WHERE eventstore_demand_epoch(%s)
    UNION ALL
    SELECT name, seen, NULL, NULL, NULL
    FROM unnest(%s::text[], %s::integer[]) AS known(name, seen)
    WHERE seen > 0 AND NOT EXISTS (SELECT FROM eventstore_event WHERE stream = name
        AND version = seen)
"""
# What concerns one row of a read model: its own streams, and events of other streams that name it.
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
# Here and below, a page is cut off before it is held against its upper bound. Between two bounds of
# which the planner knows nothing, as on a young table, it expects next to no events: to sort them
# all would be cheap.
READ_LOG = f"""
    SELECT {COLUMNS}
    FROM (SELECT * FROM eventstore_event WHERE position > %s ORDER BY position LIMIT {PAGE}) AS page
    WHERE position <= %s
    ORDER BY position
"""
# Compared as pairs, for which only one index has the order: else a plan made for types in general
# would walk along the whole log in search of a rare one.
READ_LOG_OF_TYPES = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE position <= %s AND position = ANY(ARRAY(
        SELECT found.position
        FROM unnest(%s::text[]) AS wanted(name)
        CROSS JOIN LATERAL (
            SELECT type, position FROM eventstore_event
            WHERE (type, position) > (name, %s) ORDER BY type, position LIMIT {PAGE}
        ) AS found
        WHERE found.type = name
        ORDER BY found.position
        LIMIT {PAGE}
    ))
    ORDER BY position
"""
# As pairs, for the same reason.
READ_CATEGORY = f"""
    SELECT {COLUMNS}
    FROM (
        SELECT * FROM eventstore_event
        WHERE (split_part(stream, '-', 1), position) > (%s, %s)
        ORDER BY split_part(stream, '-', 1), position
        LIMIT {PAGE}
    ) AS page
    WHERE split_part(stream, '-', 1) = %s AND position <= %s
    ORDER BY position
"""
# Again one look into the index for each stream. seen: versions that need not be looked at again.
# What is wanted of an event besides is asked as a truth value, along which there is no index.
OF_A_STREAM = """
    FROM unnest(%s::text[], %s::integer[]) AS wanted(name, seen)
    CROSS JOIN LATERAL (
        SELECT * FROM eventstore_event
        WHERE stream = name AND version > seen AND (position > %s AND position <= %s
            AND type = ANY(%s)) IS TRUE
        ORDER BY version
"""
READ_STREAMS = f"""
    SELECT {COLUMNS}
    {OF_A_STREAM}
    ) AS event
    ORDER BY position
    LIMIT %s
"""
# The same, and of these as many as fit into so many bytes of JSON, at least one; how many there
# were says whether more follow. First by what they take where they are stored, perhaps compressed,
# which is told without fetching them; so no more is unpacked to be measured than several pages.
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
POSITIONS = """
    SELECT stream, position
    FROM unnest(%s::text[], %s::int[]) AS wanted(name, at)
    CROSS JOIN LATERAL (
        SELECT stream, position FROM eventstore_event
        WHERE stream = name AND version = at
    ) AS event
"""
FIRST_OF_STREAMS = f"""
    SELECT event.position, event.version, event.stream
    {OF_A_STREAM}
        LIMIT 1
    ) AS event
"""
READ_LOG_BACKWARDS = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE position < %s
    ORDER BY position DESC
    LIMIT {PAGE}
"""
# With "<", the planner would reckon with other categories only.
READ_CATEGORY_BACKWARDS = f"""
    SELECT {COLUMNS}
    FROM (
        SELECT * FROM eventstore_event
        WHERE (split_part(stream, '-', 1), position) <= (%s, %s)
        ORDER BY split_part(stream, '-', 1) DESC, position DESC
        LIMIT {PAGE}
    ) AS page
    WHERE split_part(stream, '-', 1) = %s
    ORDER BY position DESC
"""
READ_EVENT = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE id = %s
"""
READ_CORRELATED = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE correlation_id = %s AND position > %s
    ORDER BY position
    LIMIT {PAGE}
"""


class InvalidLimit(ValueError):
    """A number of events that none can be: it is a whole number from 0 on, or None for all."""

    def __init__(self, limit: object) -> None:
        super().__init__(
            f"{limit!r} is no limit: a whole number from 0 on, or None for all there are."
        )


class AheadOfTheLog(Exception):
    """What is remembered of a stream is of a version that the log does not have."""

    def __init__(self, stream: str, version: int) -> None:
        super().__init__(
            f"{stream} is remembered at version {version}, which the log does not have."
        )
        self.stream, self.version = stream, version


def read_stream(
    stream: str,
    *,
    from_version: int = 1,
    to_version: int = LAST_VERSION,
    until: datetime | None = None,
    limit: int | None = None,
) -> Iterator[Message]:
    """The stream's events in order, in pages, so that memory stays flat. limit: no more than so
    many.

    until: up to the first event that was recorded later than that. Times follow the server's clock,
    which may be set back; what comes is the beginning of the stream all the same, with no hole in
    it, and so a state that it was in. Raises InvalidLimit.
    """
    return _limited(
        _forwards(_sized(READ_FORWARDS, limit)[0], stream, from_version, to_version, until), limit
    )


def read_backwards(
    stream: str, *, from_version: int = LAST_VERSION, limit: int | None = None
) -> Iterator[Message]:
    """The stream's events, newest first, no more than so many. Raises InvalidLimit."""
    return _limited(_backwards(_sized(READ_BACKWARDS, limit)[0], stream, from_version), limit)


def read_last(stream: str) -> Message | None:
    """The stream's newest event; None for a stream that is not there."""
    return next(read_backwards(stream, limit=1), None)


def read_event(id: UUID) -> Message | None:
    """The event of that id; None if there is none."""
    return next(iter(recorded(rows_in_binary(READ_EVENT, [id]))), None)


def read_newer(streams: Mapping[str, int], *, epoch: int | None = None) -> Iterator[Past]:
    """What has come since the version known of each stream, in order of each; one query for all of
    them.

    Streams that fill a page are asked for again, so that memory stays flat however long they are.
    epoch: the mark of the one in which the versions were remembered, where they were; then raises,
    before anything is read, epochs.EpochOver or AheadOfTheLog.
    """
    reader = registry.reader
    while streams:
        page = _newer(streams, epoch)
        for stream, version, type_, schema_version, data in page:
            if type_ is None:
                raise AheadOfTheLog(stream, version)
            yield stream, version, reader(type_, schema_version)(data)
        counts = Counter(row[0] for row in page)
        streams = {row[0]: row[1] for row in page if counts[row[0]] == MOST_NEWER}


def _newer(streams: Mapping[str, int], epoch: int | None) -> Page:
    known = [list(streams), list(streams.values())]
    if epoch is None:
        return rows_in_binary(READ_NEWER, known)
    try:
        page = rows_in_binary(READ_NEWER_THAN_REMEMBERED, [*known, epoch, *known])
    except DatabaseError as error:
        if epochs.is_over(error):
            raise epochs.over() from error
        raise
    # What is ahead comes last, and has to be known first.
    return page[-1:] if page and page[-1][2] is None else page


def read_about(
    streams: Mapping[str, int], *, foreign_types: Sequence[str], naming: str, after: int
) -> list[Message]:
    """What has come to these streams since the version known of each, and which events of other
    streams, of the stray types, have this text in them; in global order, behind a position."""
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


def read_merged(
    streams: Iterable[str],
    *,
    types: Sequence[str],
    bytes_: int,
    after: int = 0,
    until: int = LAST_POSITION,
    size: int = PAGE,
) -> Iterator[list[Message]]:
    """All events of the given stored types in these streams, in global order, in pages of at most
    so many events, and of no more than so many bytes of JSON or one event.

    However many streams there are, each page looks into no more of them than it is to hold events:
    those that come next. So all pages together read each event about twice. Nothing is held open
    from page to page.
    """
    wanted = [(0, name) for name in streams]
    ahead = _first_of(wanted, after, until, types) if wanted else []
    heapify(ahead)
    while ahead:
        near = [heappop(ahead) for _ in range(min(size, len(ahead)))]
        before = ahead[0][0] - 1 if ahead else until
        page, more = _page_of_streams(
            [name for *_, name in near],
            [version - 1 for _, version, _ in near],
            types=types,
            after=after,
            until=before,
            limit=size,
            bytes_=bytes_,
        )
        yield page
        after = page[-1].position if more else before
        for each in _first_of(
            ((version - 1, name) for _, version, name in near), after, until, types
        ):
            heappush(ahead, each)


def read_page_of_streams(
    streams: Sequence[str], *, types: Sequence[str], after: int, until: int, limit: int, bytes_: int
) -> tuple[list[Message], bool]:
    """As read_streams, but no more than fit into so many bytes of JSON, or one; and whether more
    follow."""
    seen = [0] * len(streams)
    return _page_of_streams(
        streams, seen, types=types, after=after, until=until, limit=limit, bytes_=bytes_
    )


def _page_of_streams(
    streams: Sequence[str],
    seen: Sequence[int],
    *,
    types: Sequence[str],
    after: int,
    until: int,
    limit: int,
    bytes_: int,
) -> tuple[list[Message], bool]:
    """seen: of each stream, a version up to which nothing needs to be looked at."""
    params = [
        list(streams),
        list(seen),
        after,
        until,
        list(types),
        limit + 1,
        limit + 1,
        limit,
        bytes_,
        bytes_,
    ]
    page = rows_in_binary(READ_PAGE_OF_STREAMS, params)
    return list(recorded([row[:-1] for row in page])), bool(page) and page[0][-1] > len(page)


def _first_of(
    seen: Iterable[tuple[int, str]], after: int, until: int, types: Sequence[str]
) -> list[tuple[int, int, str]]:
    """Of each stream the position and version of its first event behind a position; those that have
    none are left out. seen: a version up to which nothing needs to be looked at, and the stream."""
    versions, names = zip(*seen, strict=True)
    return rows_in_binary(
        FIRST_OF_STREAMS, [list(names), list(versions), after, until, list(types)]
    )


def positions_at(versions: Mapping[str, int]) -> dict[str, int]:
    """Where in the log the event of that version stands, by its stream; a stream without it is left
    out."""
    return dict(rows(POSITIONS, [list(versions), list(versions.values())]))


def read_log(
    *, after: int = 0, until: int | None = None, types: Sequence[str] = (), limit: int | None = None
) -> Iterator[Message]:
    """The whole log, or the given stored types, in global order up to the fence, in pages. limit:
    no more than so many.

    Raises InvalidLimit.
    """
    _check(limit)
    until = fence() if until is None else until
    if types:
        wanted = list(types)
        return _in_order(READ_LOG_OF_TYPES, after, lambda last: [until, wanted, last], limit)
    return _in_order(READ_LOG, after, lambda last: [last, until], limit)


def read_log_backwards(*, before: int | None = None, limit: int | None = None) -> Iterator[Message]:
    """The log from the fence, or from before a position, to its beginning. Raises InvalidLimit."""
    _check(limit)
    return _in_order(READ_LOG_BACKWARDS, _before(before), lambda last: [last], limit)


def read_category(
    category: str, *, after: int = 0, until: int | None = None, limit: int | None = None
) -> Iterator[Message]:
    """All streams of one category, whatever the types of their events, in global order up to the
    fence, in pages.

    limit: no more than so many. Raises InvalidLimit.
    """
    _check(limit)
    until = fence() if until is None else until
    return _in_order(READ_CATEGORY, after, lambda last: [category, last, category, until], limit)


def read_category_backwards(
    category: str, *, before: int | None = None, limit: int | None = None
) -> Iterator[Message]:
    """As read_category, from the fence, or from before a position, to the beginning. Raises
    InvalidLimit."""
    _check(limit)
    return _in_order(
        READ_CATEGORY_BACKWARDS, _before(before), lambda last: [category, last - 1, category], limit
    )


def read_correlated(correlation_id: UUID, *, after: int = 0) -> Iterator[Message]:
    """All that belongs to one business transaction, in global order, in pages.

    Not held back by the fence: this is for looking at what has happened so far, and it may not be
    over yet.
    """
    return _in_order(READ_CORRELATED, after, lambda last: [correlation_id, last])


def fence() -> int:
    """The position up to which the log is complete: nothing will appear at or below it any more."""
    return int(rows(FENCE)[0][0])


def fence_and_epoch() -> tuple[int, int | None]:
    """As fence, and the mark of the log's epoch; None while another one has to begin."""
    ((position, mark),) = rows(FENCE_AND_EPOCH)
    return int(position), mark


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
        yield from _one_by_one(page)
        from_version = page[-1][3] - 1


def _before(position: int | None) -> int:
    """What lies beyond the fence is not told, wherever one begins."""
    behind = fence() + 1
    return behind if position is None else min(position, behind)


def _check(limit: int | None) -> None:
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise InvalidLimit(limit)


def _limited(messages: Iterator[Message], limit: int | None) -> Iterator[Message]:
    return messages if limit is None else islice(messages, limit)


def _sized(statement: str, limit: int | None) -> tuple[str, int]:
    """The statement for pages of the size that is enough, and that size."""
    _check(limit)
    size = next(
        (each for each in SMALLER_PAGES if limit is not None and limit <= each < PAGE), PAGE
    )
    return (
        statement if size == PAGE else statement.replace(f"LIMIT {PAGE}", f"LIMIT {size}")
    ), size


def _in_order(
    statement: str, after: int, params_after: Callable[[int], list[Any]], limit: int | None = None
) -> Iterator[Message]:
    statement, size = _sized(statement, limit)
    if limit is not None and limit <= size:
        return _limited(chain.from_iterable(_page(statement, params_after(after))), limit)
    return _limited(chain.from_iterable(_pages(statement, after, params_after, size)), limit)


def _page(statement: str, params: list[Any]) -> Iterator[Iterable[Message]]:
    yield recorded(rows_in_binary(statement, params))


def _pages(
    statement: str, after: int, params_after: Callable[[int], list[Any]], size: int
) -> Iterator[Iterable[Message]]:
    """Each looked for while the one before it is decoded. Both are here before anybody sees an
    event, for who does may need the connection."""
    page: Page = rows_in_binary(statement, params_after(after))
    messages: Iterable[Message] = ()

    def decoded() -> Iterable[Message]:
        nonlocal messages
        # Freeing a page takes a fifth of the time of making it: here, the server works
        # on the next one meanwhile.
        messages = ()
        return recorded(page)

    while len(page) == size:
        following = params_after(page[-1][0])
        messages, found = rows_meanwhile(statement, following, decoded)
        yield messages
        page = rows_in_binary(statement, following) if found is None else found
    yield decoded()


def recorded(page: Page) -> Iterable[Message]:
    """All at once, which is quickest; if one of them cannot be decoded, one by one, up to its
    error."""
    try:
        return _recorded(page, registry.maker)
    except (registry.UnknownType, codec.Undecodable, codec.Unfit):
        return _one_by_one(page)


def _one_by_one(page: Page) -> Iterator[Message]:
    """As far as they are asked for."""
    return chain.from_iterable(_recorded([row], registry.reader) for row in page)


def _recorded(page: Page, decoder: Callable[[str, int], Callable[[str], Any]]) -> list[Message]:
    return [
        Message(
            place,
            id_,
            stream,
            version,
            type_,
            decoder(type_, schema)(data),
            (
                Metadata(correlation, cause)
                if notes == NO_NOTES
                else codec.metadata(correlation, cause, notes)
            ),
            at,
        )
        for place, id_, stream, version, type_, schema, data, correlation, cause, notes, at in page
    ]
