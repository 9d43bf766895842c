"""The state of a stream at a version, for people: its fields, which event set each, and what
differs between two."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from django.http import HttpRequest

from eventstore import codec, log, registry
from eventstore.aggregate import VersionedState
from eventstore.commands import snapshots
from eventstore.operations import time_travel

from . import formatting, masking

# Up to here it is worth reading every event to tell which of them set each field.
TOLD_APART = 1000


class Field(NamedTuple):
    """One field of a state. set_by: version and type of the event that gave it its value, where
    that was looked up."""

    name: str
    value: str
    set_by: tuple[int, str] | None = None


class StateChange(NamedTuple):
    """A field that differs between two versions; when it is hidden, both are."""

    name: str
    before: str
    after: str


class State(NamedTuple):
    """trouble: why there is no state to show."""

    fields: Sequence[Field] = ()
    trouble: str = ""


def state(request: HttpRequest, stream: str, version: int) -> State:
    try:
        return State(_fields(request, stream, version))
    except (registry.UnknownType, codec.Undecodable) as error:
        return State(
            trouble=f"Today's code cannot read all of its events. {masking.trouble(request, error)}"
        )
    except KeyError as error:
        return State(
            trouble=f"No aggregate of today folds this stream: {error} is in none of their tables."
        )


def changes(request: HttpRequest, stream: str, since: int, version: int) -> Sequence[StateChange]:
    """None to tell where today's code cannot read the stream; the state says so already."""
    try:
        before, after = _folded(stream, since), _folded(stream, version)
    except (registry.UnknownType, codec.Undecodable, KeyError):
        return ()
    told_before, told = _shown(request, before), _shown(request, after)
    return [
        StateChange(name, told_before[name], told[name])
        for name in time_travel.difference(before, after)
    ]


def changed_by(stream: str, begin: int, end: int) -> Mapping[int, Sequence[str]]:
    """Version -> the names of the fields that its event changed; nothing where that is not worth
    reading it all."""
    if end > TOLD_APART:
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


def _fields(request: HttpRequest, stream: str, version: int) -> list[Field]:
    if version > TOLD_APART:
        return [
            Field(name, value) for name, value in _shown(request, _folded(stream, version)).items()
        ]
    moment = time_travel.moment(stream, version=version)
    by: Mapping[str, tuple[int, str]] = {
        name: (each.version, each.type) for name, each in moment.set_by.items()
    }
    return [
        Field(name, value, by.get(name)) for name, value in _shown(request, moment.state).items()
    ]


def _folded(stream: str, version: int) -> Any:
    aggregate = registry.aggregate_of(stream)
    start = snapshots.load([stream]).get(stream)
    if start is None or start.version > version:
        start = VersionedState(0, aggregate.initial)
    later = log.read_stream(stream, from_version=start.version + 1, to_version=version)
    return aggregate.fold((message.body for message in later), start.state)


def _shown(request: HttpRequest, state: msgspec.Struct) -> dict[str, str]:
    return {
        name: formatting.pretty(value) for name, value in masking.struct(request, state).items()
    }
