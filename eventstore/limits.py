"""Limits of messages, so that everything the log stores can be read again unchanged."""

import math
import re
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from . import settings

# Far below the limits of Python and PostgreSQL, and well above any sensible nesting.
MAX_DEPTH = 32

# PostgreSQL's jsonb cannot store the character NUL. An escaped backslash before "u0000" is not NUL.
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_encode = msgspec.json.Encoder().encode


class Unstorable(ValueError):
    """The log cannot store the value: it is too large, nested too deep, not a finite number, or has
    a character that PostgreSQL refuses."""


def encode(value: Any, name: str) -> bytes:
    """The value as JSON that PostgreSQL accepts, of any size. name: of the value in errors. Raises
    Unstorable."""
    try:
        raw = _encode(value)
    except UnicodeEncodeError as error:
        raise Unstorable(f"{name} has a lone surrogate: {error}") from None
    except RecursionError:
        raise Unstorable(f"{name} is nested deeper than {MAX_DEPTH} levels.") from None
    if b"\\" in raw and NUL.search(raw):
        raise Unstorable(f"{name} has a NUL character.")
    return raw


def check(message: msgspec.Struct, raw: bytes) -> None:
    """Raises Unstorable for a message over the limits. raw: the message as JSON."""
    name, limit = type(message).__name__, settings.max_message_bytes()
    if len(raw) > limit:
        raise Unstorable(
            f"{name} has {len(raw)} bytes; the limit is {limit}, see EVENTSTORE_MAX_MESSAGE_BYTES."
        )
    if not _needs_check(type(message)):
        return
    # The values still to check, each with its level.
    waiting: list[tuple[Any, int]] = [(msgspec.to_builtins(message), 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise Unstorable(f"{name} is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, float) and not math.isfinite(value):
            raise Unstorable(f"{name} has {value}, which JSON cannot represent.")
        if isinstance(value, dict):
            waiting += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(each, depth + 1) for each in value]


@cache
def _needs_check(cls: type) -> bool:
    """Whether the class allows an infinite float or unlimited nesting. Most do not."""
    return _allows_any(inspect.type_info(cls), ())


def _allows_any(info: inspect.Type, within: tuple[type, ...]) -> bool:
    match info:
        case inspect.AnyType() | inspect.FloatType() | inspect.RawType() | inspect.CustomType():
            return True
        case (
            inspect.StructType(cls=cls)
            | inspect.DataclassType(cls=cls)
            | inspect.TypedDictType(cls=cls)
        ):
            return cls in within or any(
                _allows_any(field.type, (*within, cls)) for field in info.fields
            )
        case inspect.UnionType(types=types):
            return any(_allows_any(each, within) for each in types)
        case inspect.TupleType(item_types=types):
            return any(_allows_any(each, within) for each in types)
        case inspect.DictType(value_type=value):
            return _allows_any(value, within)
        case inspect.CollectionType(item_type=item):
            return _allows_any(item, within)
    return False
