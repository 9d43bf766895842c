"""How many events a page has, and the limit that a caller gives."""

from collections.abc import Iterator
from itertools import islice

from eventstore.messages import Message

# A page of events of usual size fits into the socket's buffers: the server has sent it before
# Python has decoded the page before it.
PAGE = 250
# For small limits. These sizes only, so that few different statements are prepared.
SMALLER_PAGES = (1, 20)


class InvalidLimit(ValueError):
    """A limit must be a whole number from 0 on, or None for no limit."""

    def __init__(self, limit: object) -> None:
        super().__init__(
            f"Invalid limit {limit!r}: expected a whole number from 0 on, or None for no limit."
        )


def check_limit(limit: int | None) -> None:
    """Raises InvalidLimit."""
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise InvalidLimit(limit)


def limited(messages: Iterator[Message], limit: int | None) -> Iterator[Message]:
    return messages if limit is None else islice(messages, limit)


def sized(statement: str, limit: int | None) -> tuple[str, int]:
    """The statement with the smallest page size that is enough, and that size.

    The size is part of the statement's text. With a parameter, PostgreSQL never considers the
    generic plan good enough, and plans each page again. Raises InvalidLimit.
    """
    check_limit(limit)
    for size in SMALLER_PAGES:
        if limit is not None and limit <= size < PAGE:
            return statement.replace(f"LIMIT {PAGE}", f"LIMIT {size}"), size
    return statement, PAGE
