"""The state of a stream at a version: its fields as text, the event that set each, and the
differences between two versions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from django.http import HttpRequest

from eventstore import codec, log, registry
from eventstore.aggregate import VersionedState
from eventstore.commands import snapshots
from eventstore.console import formatting, masking
from eventstore.operations import time_travel

# Longest stream whose events are all read to find the event that set each field.
MOST_ATTRIBUTED = 1000


class Field(NamedTuple):
    """set_by: version and type of the event that set the value; None in a long stream."""

    name: str
    value: str
    set_by: tuple[int, str] | None = None


class StateChange(NamedTuple):
    """A field that differs between two versions; both values may be masked."""

    name: str
    before: str
    after: str


class State(NamedTuple):
    """error: why there is no state."""

    fields: Sequence[Field] = ()
    error: str = ""


def state(request: HttpRequest, stream: str, version: int) -> State:
    try:
        if version > MOST_ATTRIBUTED:
            values = _as_text(request, _load(stream, version))
            return State([Field(name, value) for name, value in values.items()])
        moment = time_travel.moment(stream, version=version)
        by: Mapping[str, tuple[int, str]] = {
            name: (each.version, each.type) for name, each in moment.set_by.items()
        }
        values = _as_text(request, moment.state)
        return State([Field(name, value, by.get(name)) for name, value in values.items()])
    except (registry.UnknownType, codec.Undecodable) as error:
        text = masking.error(request, error)
        return State(error=f"Today's code cannot read all events of this stream. {text}")
    except KeyError as error:
        return State(error=f"No aggregate folds this stream: {error} is in none of their tables.")


def changes(request: HttpRequest, stream: str, since: int, version: int) -> Sequence[StateChange]:
    """Empty when today's code cannot read the stream; `state` gives the error."""
    try:
        before, after = _load(stream, since), _load(stream, version)
    except (registry.UnknownType, codec.Undecodable, KeyError):
        return ()
    old, new = _as_text(request, before), _as_text(request, after)
    return [
        StateChange(name, old[name], new[name]) for name in time_travel.difference(before, after)
    ]


def changed_by(stream: str, begin: int, end: int) -> Mapping[int, Sequence[str]]:
    """Version -> names of the fields that its event changed. Empty above MOST_ATTRIBUTED, and when
    today's code cannot read the stream."""
    if end > MOST_ATTRIBUTED:
        return {}
    try:
        found = time_travel.changes(stream, version=end)
        return {
            each.message.version: list(each.changed)
            for each in found
            if each.message.version >= begin
        }
    except (registry.UnknownType, codec.Undecodable, KeyError):
        return {}


def _load(stream: str, version: int) -> Any:
    aggregate = registry.aggregate_of(stream)
    start = snapshots.load([stream]).get(stream)
    if start is None or start.version > version:
        start = VersionedState(0, aggregate.initial)
    later = log.read_stream(stream, from_version=start.version + 1, to_version=version)
    return aggregate.fold((message.body for message in later), start.state)


def _as_text(request: HttpRequest, state: msgspec.Struct) -> dict[str, str]:
    return {
        name: formatting.pretty(value) for name, value in masking.struct(request, state).items()
    }
