"""An aggregate as it was at a version or at a time, and which event set each field of it last."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from eventstore import log, registry
from eventstore.messages import Message


class Moment(NamedTuple):
    """version: of the stream then. state: folded up to it. set_by: field -> the event that gave it
    its value."""

    stream: str
    version: int
    state: Any
    set_by: Mapping[str, Message]


class Change(NamedTuple):
    """One event and what it did. changed: field -> (before, after)."""

    message: Message
    state: Any
    changed: Mapping[str, tuple[Any, Any]]


class NoSuchStream(LookupError):
    """There is no event in the stream, or none that early."""


def moment(stream: str, *, version: int = log.LAST_VERSION, at: datetime | None = None) -> Moment:
    """The state at a version, or as it was recorded at a time. Raises NoSuchStream."""
    last: Change | None = None
    set_by: dict[str, Message] = {}
    for last in changes(stream, version=version, at=at):
        set_by |= dict.fromkeys(last.changed, last.message)
    if last is None:
        raise NoSuchStream(f"{stream} has no event up to then.")
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
    """The fields of two states of one aggregate that differ."""
    names = [field.name for field in msgspec.structs.fields(after)]
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in names}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}
