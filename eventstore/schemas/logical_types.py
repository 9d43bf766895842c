"""Whether two versions of an Avro schema agree in their logical types, which the rules of Avro for
readers and writers leave out: decimals, dates, times and ids would be read as other values.

A decimal matches one of the same precision and scale alone (Avro 1.12 specification, "Decimal").
A uuid may be read as the text that it is. Any other difference changes the value: another unit, a
plain number for a time, or any text for a uuid.
"""

from collections.abc import Iterator
from typing import Any

KNOWN = frozenset(
    {
        "decimal",
        "big-decimal",
        "uuid",
        "date",
        "time-millis",
        "time-micros",
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "local-timestamp-micros",
        "local-timestamp-nanos",
        "duration",
    }
)
# Writer -> the readers that it is promoted to.
PROMOTED = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
NAMED = ("record", "error", "enum", "fixed")


def differences(reader: Any, writer: Any) -> list[str]:
    """One sentence for each place where the reader takes data of the writer for another value.

    reader, writer: avro.schema.Schema, of which the reader can read data of the writer.
    """
    return list(_differences(reader, writer, "", set()))


def _differences(reader: Any, writer: Any, path: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    if (id(reader), id(writer)) in seen:
        return
    seen.add((id(reader), id(writer)))
    if writer.type == "union":
        for branch in writer.schemas:
            yield from _differences(reader, branch, path, seen)
    elif reader.type == "union":
        found = [
            list(_differences(branch, writer, path, set(seen)))
            for branch in reader.schemas
            if _is_read_by(branch, writer)
        ]
        if found and all(found):
            yield from found[0]
    elif writer.type in ("record", "error"):
        of_writer = {field.name: field for field in writer.fields}
        for field in reader.fields:
            names = (field.name, *(field.props.get("aliases") or ()))
            if other := next((of_writer[each] for each in names if each in of_writer), None):
                yield from _differences(field.type, other.type, f"{path}/{field.name}", seen)
    elif writer.type == "array":
        yield from _differences(reader.items, writer.items, f"{path}/items", seen)
    elif writer.type == "map":
        yield from _differences(reader.values, writer.values, f"{path}/values", seen)
    elif (old := _logical(writer)) != (new := _logical(reader)) and not (
        old == "uuid" and new == ""
    ):
        yield f"{path or '/'}: {_named(writer, old)} would be read as {_named(reader, new)}"


def _is_read_by(reader: Any, writer: Any) -> bool:
    if reader.type != writer.type:
        return reader.type in PROMOTED.get(writer.type, ())
    if writer.type in NAMED:
        return reader.name == writer.name or writer.fullname in (reader.props.get("aliases") or ())
    return True


def _logical(schema: Any) -> str:
    """The logical type; "" for none, for an unknown one, and for a decimal without a precision."""
    properties = schema.props | schema.other_props
    found = properties.get("logicalType")
    if found not in KNOWN:
        return ""
    if found != "decimal":
        return str(found)
    precision, scale = properties.get("precision"), properties.get("scale") or 0
    return f"decimal({precision}, {scale})" if isinstance(precision, int) else ""


def _named(schema: Any, logical: str) -> str:
    return logical or f"plain {schema.type}"
