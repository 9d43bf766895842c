"""The Confluent wire format: a zero byte, the schema's id in four bytes, big endian, and the Avro
body; and how bodies are encoded and decoded, by fastavro."""

import io
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import fastavro
import msgspec

from .errors import BodyMismatch, InvalidSchemaId, WrongMagicByte

MAGIC = 0
HEADER = struct.Struct(">bI")


class Schema(NamedTuple):
    """A schema as it stands behind an id. name: the full name of its record. subjects: under which
    it is registered. parsed: as fastavro has it."""

    id: int
    name: str
    subjects: frozenset[str]
    parsed: Any


def encode(schema_id: int, parsed: Any, data: Mapping[str, Any]) -> bytes:
    """data: numbers, texts, ids, times, lists and dicts. Raises ValueError, TypeError, and
    OverflowError for what the schema does not allow."""
    body = io.BytesIO()
    body.write(HEADER.pack(MAGIC, schema_id))
    fastavro.schemaless_writer(body, parsed, data)
    return body.getvalue()


def schema_id(value: bytes) -> int:
    """Raises WrongMagicByte, InvalidSchemaId."""
    if len(value) < HEADER.size or value[0] != MAGIC:
        raise WrongMagicByte(f"it begins with {value[: HEADER.size].hex() or 'nothing'}")
    _, found = HEADER.unpack_from(value)
    if not 0 < found < 2**31:
        raise InvalidSchemaId(f"the schema id is {found}")
    return int(found)


def decode(schema: Schema, value: bytes) -> Any:
    """The data as JSON has it: ids and times are texts. Raises BodyMismatch."""
    body = io.BytesIO(value)
    body.seek(HEADER.size)
    try:
        found = fastavro.schemaless_reader(body, schema.parsed, None)
        data = msgspec.to_builtins(found)
    except Exception as error:  # noqa: BLE001  whatever the library raises: the bytes are at fault
        raise BodyMismatch(
            f"the body is not {schema.name}, schema {schema.id}: {error!r}"[:500]
        ) from None
    if rest := len(value) - body.tell():
        raise BodyMismatch(f"{rest} bytes follow the body of {schema.name}, schema {schema.id}")
    return data
