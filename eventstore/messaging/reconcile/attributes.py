"""The parts of a message that are compared: those that belong to the envelope."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from eventstore.messaging.cloudevents import PLAIN
from eventstore.messaging.consumers.incoming import PREFIX, number

from .records import NO_POSITION


class Place(msgspec.Struct):
    """What a CloudEvent in structured mode says of its place."""

    position: str = ""


class Layout(NamedTuple):
    """Where a message with headers of certain names has what is compared. ours: takes the values
    that are compared out of all, in the order of their names. names: a hash of these names. places:
    name -> where its last value is. is_repeated: one of the names stands there twice."""

    ours: Callable[[Sequence[Any]], Sequence[Any]]
    names: int
    places: Mapping[str, int]
    is_repeated: bool


_decode = msgspec.json.Decoder(Place).decode


@lru_cache(maxsize=1000)
def is_ours(header: str) -> bool:
    """Whether a header belongs to the envelope: proxies and tracing may add others."""
    return header == "content-type" or header in PLAIN or bool(PREFIX.match(header))


@lru_cache(maxsize=64)
def layout(names: Sequence[str]) -> Layout:
    """names: a tuple. Most messages of a topic have the same, in one order."""
    places = sorted((name, place) for place, name in enumerate(names) if is_ours(name))
    ours = tuple(name for name, _ in places)
    return Layout(
        _getter([place for _, place in places]),
        hash(ours),
        {name: place for place, name in enumerate(names)},
        len({*ours}) < len(ours),
    )


def _getter(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """As itemgetter, which gives a tuple from two places on only."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: [values[place] for place in places]


def position(header: str, value: bytes | None) -> int:
    """header: of the position; without one, the message may be in structured mode."""
    if not header:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            header = _decode(value or b"").position
    return number(header) or NO_POSITION
