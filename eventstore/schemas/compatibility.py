"""Whether two versions of a schema understand one another, and whether a type keeps the promise it
declares.

The words are those of the Confluent Schema Registry: BACKWARD, the new schema reads old data;
FORWARD, the old schema reads new data; FULL, both; the transitive forms hold against every version
there was, not only the last.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse

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
    """FULL, BACKWARD, FORWARD, or NONE: how a change is to be called."""
    backward, forward = not _broken(reader=new, writer=old), not _broken(reader=old, writer=new)
    if backward and forward:
        return "FULL"
    return "BACKWARD" if backward else "FORWARD" if forward else "NONE"


def violations(mode: str, released: Sequence[Schema], new: Schema) -> Iterator[str]:
    """What breaks the declared mode, in sentences. released: oldest first."""
    direction, _, transitive = mode.partition("_")
    for age, old in enumerate(reversed(released if transitive else released[-1:]), start=1):
        if direction in ("BACKWARD", "FULL"):
            yield from (
                f"cannot read what the version {age} before wrote: {why}"
                for why in _broken(new, old)
            )
        if direction in ("FORWARD", "FULL"):
            yield from (
                f"the version {age} before cannot read what it writes: {why}"
                for why in _broken(old, new)
            )


def _broken(reader: Schema, writer: Schema) -> list[str]:
    checker: Any = ReaderWriterCompatibilityChecker
    result = checker().get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    return sorted(result.messages) or ["incompatible"]
