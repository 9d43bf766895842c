"""Rules of Avro that the libraries do not check: a default is a value of its type, and the size of
a fixed type is an int."""

from collections.abc import Iterator
from typing import Any

# Of the int of Avro and of Java, which the size of a fixed type is read into.
LARGEST_INT = 2**31 - 1
BITS = {"int": 31, "long": 63}
# Pairs of a value and a type in all defaults together.
MOST_PAIRS = 50_000


def faults(schema: Any) -> Iterator[str]:
    """schema: avro.schema.Schema. One sentence for each."""
    seen, waiting, defaults = {id(schema)}, [schema], Defaults()
    while waiting:
        found = waiting.pop()
        if not isinstance(found.props.get("logicalType", ""), str):
            yield f"a logicalType of {found.type} is not a text"
        if found.type == "fixed" and not _is_whole(found.size, 0, LARGEST_INT):
            yield f"the size of {found.fullname} is not a whole number from 0 to {LARGEST_INT}"
        for field in getattr(found, "fields", ()):
            if field.has_default and not defaults.fit(field.default, field.type):
                yield f"the default of {found.fullname}.{field.name} is no value of its type"
        parts = [each for each in _parts(found) if id(each) not in seen]
        seen.update(map(id, parts))
        waiting += parts


class Defaults:
    """results: of the pairs that are compared already; the schemas hold the values."""

    def __init__(self) -> None:
        self.results: dict[tuple[int, int], bool] = {}

    def fit(self, value: Any, schema: Any) -> bool:
        """Whether the type has the value, as it stands in JSON (Avro 1.12 specification, "Complex
        Types"). What is too much to compare does not fit."""
        pair = (id(value), id(schema))
        if pair not in self.results:
            if len(self.results) >= MOST_PAIRS:
                return False
            self.results[pair] = self._fit(value, schema)
        return self.results[pair]

    def _fit(self, value: Any, schema: Any) -> bool:
        match schema.type:
            case "null":
                return value is None
            case "boolean":
                return isinstance(value, bool)
            case "int" | "long":
                limit = 2 ** BITS[schema.type]
                return _is_whole(value, -limit, limit - 1)
            case "float" | "double":
                return isinstance(value, int | float) and not isinstance(value, bool)
            case "string":
                return isinstance(value, str)
            case "bytes":
                return _is_bytes(value)
            case "fixed":
                return _is_bytes(value) and len(value) == schema.size
            case "enum":
                return value in schema.symbols
            case "array":
                return isinstance(value, list) and all(
                    self.fit(each, schema.items) for each in value
                )
            case "map":
                return isinstance(value, dict) and all(
                    self.fit(each, schema.values) for each in value.values()
                )
            case "record" | "error":
                return isinstance(value, dict) and all(
                    self.fit(value[each.name], each.type)
                    if each.name in value
                    else each.has_default
                    for each in schema.fields
                )
        return any(self.fit(value, branch) for branch in schema.schemas)


def _parts(schema: Any) -> list[Any]:
    """The types that a type consists of."""
    match schema.type:
        case "array":
            return [schema.items]
        case "map":
            return [schema.values]
        case "record" | "error":
            return [field.type for field in schema.fields]
    return list(getattr(schema, "schemas", ()))


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_bytes(value: Any) -> bool:
    """In JSON, a character stands for a byte."""
    return isinstance(value, str) and all(ord(each) < 256 for each in value)
