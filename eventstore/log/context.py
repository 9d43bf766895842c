"""The metadata of the current context: actor and correlation, carried from the request to the last
effect."""

from contextvars import ContextVar

from uuid_utils.compat import uuid7

from eventstore.messages import Metadata

# Set by eventstore/middleware.py for the time of a request.
bound: ContextVar[Metadata | None] = ContextVar("eventstore_metadata", default=None)


def current() -> Metadata:
    """The bound metadata, or a new correlation."""
    return bound.get() or Metadata(correlation_id=uuid7())
