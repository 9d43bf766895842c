"""Encode messages to JSON and decode them, with msgspec."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from eventstore.messages import Metadata

from . import limits

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode


# The error of a `maker`; a `reader` raises Undecodable, which names the class, instead.
Unfit = msgspec.MsgspecError


class Undecodable(ValueError):
    """The stored data does not fit its class."""


def encode(message: msgspec.Struct) -> msgspec.Raw:
    """The message as JSON. Raises limits.Unstorable for a message that the log cannot store or
    return unchanged."""
    raw = limits.encode(message, type(message).__name__)
    limits.check(message, raw)
    return msgspec.Raw(raw)


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
            raise Undecodable(f"Stored data does not fit {cls.__name__}: {error}") from None

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
