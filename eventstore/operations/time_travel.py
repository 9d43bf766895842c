"""An aggregate as it was at a version or a time, and the event that last set each of its fields."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from eventstore import log, registry
from eventstore.messages import Message


class Moment(NamedTuple):
    """version: of the stream at that moment. state: the aggregate's. set_by: field -> the event
    that set it last."""

    stream: str
    version: int
    state: Any
    set_by: Mapping[str, Message]


class Change(NamedTuple):
    """One event and its effect. state: after it. changed: field -> (before, after)."""

    message: Message
    state: Any
    changed: Mapping[str, tuple[Any, Any]]


class NoSuchStream(LookupError):
    """The stream has no event, or none before that time."""


def moment(stream: str, *, version: int = log.LAST_VERSION, at: datetime | None = None) -> Moment:
    """The state at a version, or at a recording time. Raises NoSuchStream."""
    last: Change | None = None
    set_by: dict[str, Message] = {}
    for last in changes(stream, version=version, at=at):
        set_by |= dict.fromkeys(last.changed, last.message)
    if last is None:
        raise NoSuchStream(f"{stream} has no event up to that version or time.")
    return Moment(stream, last.message.version, last.state, set_by)


def changes(
    stream: str, *, version: int = log.LAST_VERSION, at: datetime | None = None
) -> Iterator[Change]:
    """Each event of the stream in order, with the state after it and the fields that it changed."""
    aggregate = registry.aggregate_of(stream)
    state = aggregate.initial
    for message in log.read_stream(stream, to_version=version, until=at):
        before, state = state, aggregate.apply(state, message.body)
        yield Change(message, state, difference(before, state))


def difference(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """The fields in which two states of an aggregate differ: field -> (before, after)."""
    names = [field.name for field in msgspec.structs.fields(after)]
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in names}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}
