"""The metadata of the current context: actor and correlation, carried from the request to the last
effect."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from uuid_utils.compat import uuid7

from eventstore.messages import Metadata

_current: ContextVar[Metadata | None] = ContextVar("eventstore_metadata", default=None)


def current() -> Metadata:
    """The bound metadata, or a new correlation."""
    return _current.get() or Metadata(correlation_id=uuid7())


def bound_now() -> Metadata | None:
    """The bound metadata, if any."""
    return _current.get()


@contextmanager
def bound(metadata: Metadata) -> Iterator[Metadata]:
    token = _current.set(metadata)
    try:
        yield metadata
    finally:
        _current.reset(token)
