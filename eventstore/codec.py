"""Messages to JSON and back, the one place that knows msgspec's ways."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from eventstore.messages import Metadata

from . import limits as bounds

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode


# What a message's maker raises of its own accord; who names the class as well raises Undecodable.
Unfit = msgspec.MsgspecError


class Undecodable(ValueError):
    """Stored data that does not fit the class it is to become."""


def encode(message: msgspec.Struct) -> msgspec.Raw:
    """The message as JSON. Raises limits.Unstorable for what the log could not hold or give
    back."""
    raw = bounds.encode(message, type(message).__name__)
    bounds.check(message, raw)
    return msgspec.Raw(raw)


Upcasters = Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]


def maker(cls: type, schema_version: int, upcasters: Upcasters) -> Callable[[str], Any]:
    """What makes a message of today's class from data stored under that schema version. Raises
    Unfit, Undecodable."""
    return (
        _upcasting(cls, schema_version, upcasters) if schema_version in upcasters else decoder(cls)
    )


def reader(cls: type, schema_version: int, upcasters: Upcasters) -> Callable[[str], Any]:
    """As maker, but it raises Undecodable alone."""
    make = maker(cls, schema_version, upcasters)

    def read(data: str) -> Any:
        try:
            return make(data)
        except Unfit as error:
            raise Undecodable(
                f"{cls.__name__} cannot be made from what is stored: {error}"
            ) from None

    return read


def metadata(correlation_id: UUID, causation_id: UUID | None, notes: str) -> Metadata:
    """What is stored beside an event; notes that only newer code takes are passed over."""
    known = decode_json(notes)
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


def _upcasting(cls: type, schema_version: int, upcasters: Upcasters) -> Callable[[str], Any]:
    def make(data: str) -> Any:
        upcasted, version = decode_json(data), schema_version
        while version in upcasters:
            upcasted = _step(cls, upcasters[version], upcasted)
            version += 1
        return msgspec.convert(upcasted, cls)

    return make


def _step(
    cls: type, upcast: Callable[[dict[str, Any]], dict[str, Any]], data: dict[str, Any]
) -> dict[str, Any]:
    try:
        return upcast(data)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Undecodable(
            f"an upcaster of {cls.__name__} cannot take what is stored: {error!r}"
        ) from error
