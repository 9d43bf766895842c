"""Messages to JSON and back, with msgspec, and the limits of what the log can store and return
unchanged."""

import binascii
import math
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from msgspec import inspect

from eventstore.messages import Metadata

from . import settings

# Far below the limits of Python and PostgreSQL, and well above any sensible nesting.
MAX_DEPTH = 32
# The same for JSON of other systems, which is only read. Deeper values would end in a
# RecursionError wherever they are walked through or encoded.
FOREIGN_DEPTH = 100

# PostgreSQL's jsonb cannot store the character NUL. An escaped backslash before "u0000" is not NUL.
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


# The error of a `maker`; a `reader` raises Undecodable, which names the class, instead.
Unfit = msgspec.MsgspecError


class Undecodable(ValueError):
    """The stored data does not fit its class."""


class Unstorable(ValueError):
    """The log cannot store the value: it is too large, nested too deep, not a finite number, or has
    a character that PostgreSQL refuses."""


def encode(message: msgspec.Struct) -> msgspec.Raw:
    """The message as JSON. Raises Unstorable for a message that the log cannot store or return
    unchanged."""
    name, limit = type(message).__name__, settings.max_message_bytes()
    raw = encode_value(message, name)
    if len(raw) > limit:
        raise Unstorable(
            f"{name} has {len(raw)} bytes; the limit is {limit}, see EVENTSTORE_MAX_MESSAGE_BYTES."
        )
    require_storable(message)
    return msgspec.Raw(raw)


def encode_value(value: Any, name: str) -> bytes:
    """The value as JSON that PostgreSQL accepts, of any size. name: of the value in errors. Raises
    Unstorable."""
    try:
        raw = encode_json(value)
    except UnicodeEncodeError as error:
        raise Unstorable(f"{name} has a lone surrogate: {error}") from None
    except RecursionError:
        raise Unstorable(f"{name} is nested deeper than {MAX_DEPTH} levels.") from None
    if b"\\" in raw and NUL.search(raw):
        raise Unstorable(f"{name} has a NUL character.")
    return raw


def decode_foreign(raw: bytes) -> Any:
    """JSON that another system has written. Raises Undecodable, also for more than FOREIGN_DEPTH
    levels."""
    try:
        found = decode_json(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Undecodable(f"it is not JSON: {error!r}") from None
    except RecursionError:
        raise Undecodable(f"it is nested deeper than {FOREIGN_DEPTH} levels") from None
    # Most values have fewer brackets than that.
    if raw.count(b"[") + raw.count(b"{") > FOREIGN_DEPTH and _depth(found) > FOREIGN_DEPTH:
        raise Undecodable(f"it is nested deeper than {FOREIGN_DEPTH} levels")
    return found


def data_of_event(event: Any) -> Any:
    """The data of a CloudEvent in structured mode, which may be JSON in base64. Raises
    Undecodable."""
    match event:
        case {"data": data}:
            return data
        case {"data_base64": str(encoded)}:
            try:
                return decode_foreign(b64decode(encoded, validate=True))
            except binascii.Error as error:
                raise Undecodable(f"its data_base64 is not base64: {error}") from None
    raise Undecodable("it is a structured CloudEvent without data and data_base64")


def members(data: str) -> frozenset[str]:
    """The names in an object of JSON."""
    return frozenset(_decode_members(data))


Upcasters = Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]


def maker(cls: type, schema_version: int, upcasters: Upcasters) -> Callable[[str], Any]:
    """The function that decodes data stored under that schema version into the current class. It
    raises Unfit or Undecodable."""
    if schema_version not in upcasters:
        return decoder(cls)

    def make(data: str) -> Any:
        upcasted, version = decode_json(data), schema_version
        while version in upcasters:
            try:
                upcasted = upcasters[version](upcasted)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise Undecodable(
                    f"The upcaster of {cls.__name__} from schema version {version} failed on stored"
                    f" data: {error!r}"
                ) from error
            if not isinstance(upcasted, dict):
                raise Undecodable(
                    f"The upcaster of {cls.__name__} from schema version {version} returned"
                    f" {upcasted!r} instead of a dict."
                )
            version += 1
        return msgspec.convert(upcasted, cls)

    return make


def reader(cls: type, schema_version: int, upcasters: Upcasters) -> Callable[[str], Any]:
    """As maker, but the function raises only Undecodable."""
    make = maker(cls, schema_version, upcasters)

    def read(data: str) -> Any:
        try:
            return make(data)
        except Unfit as error:
            raise Undecodable(
                f"Stored data does not fit {cls.__name__}: {error}. If the class has changed, give"
                " a new field a default, or add an upcaster."
            ) from None

    return read


def metadata(correlation_id: UUID, causation_id: UUID | None, fields: str) -> Metadata:
    """The metadata of an event from its columns. fields: JSON; unknown fields, which newer code may
    have written, are ignored."""
    known = decode_json(fields)
    return Metadata(
        correlation_id,
        causation_id,
        known.get("actor", ""),
        known.get("trace", ""),
        known.get("command", ""),
    )


@cache
def decoder(cls: type) -> Callable[[str], Any]:
    return msgspec.json.Decoder(cls).decode


def _depth(value: Any) -> int:
    """Of arrays and objects, without recursion."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


def require_storable(message: msgspec.Struct) -> None:
    """Raises Unstorable for numbers that JSON cannot represent, which would be read as null, and
    for values that are nested too deep."""
    if not _allows_unstorable(type(message)):
        return
    name = type(message).__name__
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
def _allows_unstorable(cls: type) -> bool:
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
