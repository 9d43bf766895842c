"""Read the whole log, a category or a correlation, in pages; and how far the log may be read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from eventstore.messages import Message
from eventstore.postgres import rows, rows_in_binary, rows_meanwhile

from .decode import COLUMNS, Page, recorded
from .page_size import PAGE, check_limit, limited, sized

LAST_POSITION = 2**63 - 1

FENCE = "SELECT eventstore_fence()"
FENCE_AND_EPOCH = "SELECT eventstore_fence(), eventstore_mark()"

# Here and below, LIMIT comes before the upper bound. Between two bounds that the statistics of a
# young table do not know, the planner expects nearly no rows, and sorting all of them would look
# cheap.
READ_LOG = f"""
    SELECT {COLUMNS}
    FROM (SELECT * FROM eventstore_event WHERE position > %s ORDER BY position LIMIT {PAGE}) AS page
    WHERE position <= %s
    ORDER BY position
"""
# Compares pairs, because only one index has that order. Otherwise the generic plan would walk
# along the whole log to find a rare type.
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
# Compares pairs for the same reason.
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
READ_LOG_BACKWARDS = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE position < %s
    ORDER BY position DESC
    LIMIT {PAGE}
"""
# With "<" instead of "<=", the planner's estimate would count only the other categories.
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
READ_CORRELATED = f"""
    SELECT {COLUMNS}
    FROM eventstore_event
    WHERE correlation_id = %s AND position > %s
    ORDER BY position
    LIMIT {PAGE}
"""

# The position of the last event -> the parameters of the statement for the page after it.
ParamsAfter = Callable[[int], list[Any]]


def fence() -> int:
    """The high-water mark: no event can appear at or below this position any more."""
    return int(rows(FENCE)[0][0])


def fence_and_epoch() -> tuple[int, int | None]:
    """As fence, and the mark of the log's epoch; None while the next one has to begin."""
    ((position, mark),) = rows(FENCE_AND_EPOCH)
    return int(position), mark


def read_log(
    *, after: int = 0, until: int | None = None, types: Sequence[str] = (), limit: int | None = None
) -> Iterator[Message]:
    """The whole log, or the events of the given stored types, in global order up to the fence, in
    pages. limit: maximum of events.

    Raises InvalidLimit.
    """
    check_limit(limit)
    until = fence() if until is None else until
    if types:
        names = list(types)
        return _in_order(READ_LOG_OF_TYPES, after, lambda last: [until, names, last], limit)
    return _in_order(READ_LOG, after, lambda last: [last, until], limit)


def read_log_backwards(*, before: int | None = None, limit: int | None = None) -> Iterator[Message]:
    """The log from the fence, or from before a position, to its beginning. Raises InvalidLimit."""
    check_limit(limit)
    return _in_order(READ_LOG_BACKWARDS, _before(before), lambda last: [last], limit)


def read_category(
    category: str, *, after: int = 0, until: int | None = None, limit: int | None = None
) -> Iterator[Message]:
    """All streams of one category, events of all types, in global order up to the fence, in pages.

    limit: maximum of events. Raises InvalidLimit.
    """
    check_limit(limit)
    until = fence() if until is None else until
    return _in_order(READ_CATEGORY, after, lambda last: [category, last, category, until], limit)


def read_category_backwards(
    category: str, *, before: int | None = None, limit: int | None = None
) -> Iterator[Message]:
    """As read_category, from the fence, or from before a position, to the beginning. Raises
    InvalidLimit."""
    check_limit(limit)
    return _in_order(
        READ_CATEGORY_BACKWARDS, _before(before), lambda last: [category, last - 1, category], limit
    )


def read_correlated(correlation_id: UUID, *, after: int = 0) -> Iterator[Message]:
    """All events of one correlation, in global order, in pages.

    Does not stop at the fence: it shows what has happened so far, and more may follow.
    """
    return _in_order(READ_CORRELATED, after, lambda last: [correlation_id, last])


def _before(position: int | None) -> int:
    """Where to begin reading backwards: never beyond the fence."""
    behind_fence = fence() + 1
    return behind_fence if position is None else min(position, behind_fence)


def _in_order(
    statement: str, after: int, params_after: ParamsAfter, limit: int | None = None
) -> Iterator[Message]:
    statement, size = sized(statement, limit)
    if limit is not None and limit <= size:
        pages = _one_page(statement, params_after(after))
    else:
        pages = Pages(statement, params_after, size).after(after)
    return limited(chain.from_iterable(pages), limit)


def _one_page(statement: str, params: list[Any]) -> Iterator[Iterable[Message]]:
    yield recorded(rows_in_binary(statement, params))


class Pages:
    """The pages of a statement. The server looks for each page while Python decodes the one before.

    Both are complete before the caller gets an event, because the caller may use the connection.
    """

    def __init__(self, statement: str, params_after: ParamsAfter, size: int) -> None:
        self.statement, self.params_after, self.size = statement, params_after, size
        self.page: Page = ()
        self.messages: Iterable[Message] = ()

    def after(self, position: int) -> Iterator[Iterable[Message]]:
        self.page = rows_in_binary(self.statement, self.params_after(position))
        while len(self.page) == self.size:
            params = self.params_after(self.page[-1][0])
            _, found = rows_meanwhile(self.statement, params, self._decode)
            yield self.messages
            self.page = rows_in_binary(self.statement, params) if found is None else found
        self._decode()
        yield self.messages

    def _decode(self) -> None:
        # Freeing a page takes a fifth of the time of making it. Free the last one here, while the
        # server works.
        self.messages = ()
        self.messages = recorded(self.page)
