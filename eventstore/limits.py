"""What a message may hold, so that the log never takes what it could not give back."""

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect as shapes

from . import settings

# Far below where Python or PostgreSQL would give up, and far above what anybody reads with
# pleasure.
MAX_DEPTH = 32

# PostgreSQL's jsonb cannot hold the character NUL; an escaped backslash before "u0000" is another
# thing.
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_encode = msgspec.json.Encoder().encode


class Unstorable(ValueError):
    """What the log cannot hold: too large, nested too deep, not a number, or a character that
    PostgreSQL refuses."""


def encode(value: Any, called: str) -> bytes:
    """As JSON that PostgreSQL takes, whatever its size. Raises Unstorable."""
    try:
        raw = _encode(value)
    except UnicodeEncodeError as error:
        raise Unstorable(f"{called} holds a lone surrogate: {error}") from None
    except RecursionError:
        raise Unstorable(f"{called} is nested deeper than {MAX_DEPTH} levels.") from None
    if b"\\" in raw and NUL.search(raw):
        raise Unstorable(f"{called} holds a NUL character.")
    return raw


def check(message: msgspec.Struct, raw: bytes) -> None:
    """Raises Unstorable for a message beyond its bounds. raw: the same as JSON."""
    name, limit = type(message).__name__, settings.max_message_bytes()
    if len(raw) > limit:
        raise Unstorable(
            f"{name} takes {len(raw)} bytes; the limit is {limit}, see"
            " EVENTSTORE_MAX_MESSAGE_BYTES."
        )
    if _is_open(type(message)):
        for value, depth in _parts(msgspec.to_builtins(message), 1):
            if depth > MAX_DEPTH:
                raise Unstorable(f"{name} is nested deeper than {MAX_DEPTH} levels.")
            if isinstance(value, float) and not math.isfinite(value):
                raise Unstorable(f"{name} holds {value}, which JSON has no word for.")


def _parts(value: Any, depth: int) -> Iterator[tuple[Any, int]]:
    """Every value within a value, with the level that it is on; the outermost is on the first."""
    waiting = [(value, depth)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        inner = (
            value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, list | tuple)
            else ()
        )
        waiting += [(each, depth + 1) for each in inner]


@cache
def _is_open(cls: type) -> bool:
    """Whether the class leaves room for a float that is no number, or for nesting without end: most
    do not."""
    return _leaves_room(shapes.type_info(cls), ())


def _leaves_room(info: shapes.Type, within: tuple[type, ...]) -> bool:
    match info:
        case shapes.AnyType() | shapes.FloatType() | shapes.RawType() | shapes.CustomType():
            return True
        case (
            shapes.StructType(cls=cls)
            | shapes.DataclassType(cls=cls)
            | shapes.TypedDictType(cls=cls)
        ):
            return cls in within or any(
                _leaves_room(field.type, (*within, cls)) for field in info.fields
            )
        case shapes.UnionType(types=types):
            return any(_leaves_room(each, within) for each in types)
        case shapes.TupleType(item_types=types):
            return any(_leaves_room(each, within) for each in types)
        case shapes.DictType(value_type=value):
            return _leaves_room(value, within)
        case shapes.CollectionType(item_type=item):
            return _leaves_room(item, within)
    return False
