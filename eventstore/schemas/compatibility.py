"""Whether two versions of a schema are compatible, and whether a type keeps its declared mode.

The modes are those of the Confluent Schema Registry. BACKWARD: the new schema reads old data.
FORWARD: the old schema reads new data. FULL: both. The transitive modes hold against every earlier
version, the others against the last one.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse

from . import logical_types
from .generation import Schema

MODES = (
    "NONE",
    "BACKWARD",
    "FORWARD",
    "FULL",
    "BACKWARD_TRANSITIVE",
    "FORWARD_TRANSITIVE",
    "FULL_TRANSITIVE",
)
DEFAULT = "BACKWARD"


def classify(old: Schema, new: Schema) -> str:
    """The compatibility of a change: FULL, BACKWARD, FORWARD or NONE."""
    backward = not _incompatibilities(reader=new, writer=old)
    forward = not _incompatibilities(reader=old, writer=new)
    if backward and forward:
        return "FULL"
    return "BACKWARD" if backward else "FORWARD" if forward else "NONE"


def violations(mode: str, released: Sequence[Schema], new: Schema) -> Iterator[str]:
    """Each violation of the declared mode, as a sentence. released: earlier schemas, oldest
    first."""
    direction, _, transitive = mode.partition("_")
    for age, old in enumerate(reversed(released if transitive else released[-1:]), start=1):
        earlier = "the previous version" if age == 1 else f"the version {age} releases earlier"
        if direction in ("BACKWARD", "FULL"):
            for why in _incompatibilities(reader=new, writer=old):
                yield f"it cannot read data of {earlier}: {why}"
        if direction in ("FORWARD", "FULL"):
            for why in _incompatibilities(reader=old, writer=new):
                yield f"{earlier} cannot read its data: {why}"


def incompatibilities(reader: Any, writer: Any) -> list[str]:
    """Why the reader cannot read data of the writer. reader, writer: avro.schema.Schema."""
    checker: Any = ReaderWriterCompatibilityChecker
    result = checker().get_compatibility(reader, writer)
    if result.compatibility is SchemaCompatibilityType.compatible:
        return logical_types.differences(reader, writer)
    return sorted(result.messages) or ["incompatible"]


def _incompatibilities(reader: Schema, writer: Schema) -> list[str]:
    return incompatibilities(parse(json.dumps(reader)), parse(json.dumps(writer)))
