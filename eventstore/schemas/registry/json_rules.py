"""What a change of a JSON Schema breaks: a value that is valid for the writer must be valid for the
reader.

A writer is taken to write the properties that its schema names, and no others: so a reader may name
further optional ones. (The Confluent registry takes a schema without additionalProperties: false to
allow any value in them, and refuses the change.) Everything else is compared strictly: what these
rules cannot compare is incompatible, unless both schemas say the same.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple

ALL_TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
# Keywords that say nothing about validity.
ANNOTATIONS = frozenset(
    {
        "$schema", "$id", "id", "$anchor", "$comment", "$defs", "definitions", "title",
        "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
        "contentEncoding", "contentMediaType", "$vocabulary",
    }
)  # fmt: skip
# Keyword -> whether the reader's bound is at least as wide as the writer's. A reader without it is
# wider, a writer without it is unbounded.
LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
# Compared by a function of their own.
COMPARED = frozenset(
    {
        "type", "enum", "const", "required", "properties", "additionalProperties", "items",
        "prefixItems", "additionalItems", "allOf", "anyOf", "oneOf", "$ref", "multipleOf",
        "uniqueItems", *LOWER, *UPPER,
    }
)  # fmt: skip
MOST_PAIRS = 50_000
UNIONS = ("anyOf", "oneOf")
# Class of a value -> its types; a float without a fraction is an integer, too.
TYPES = {
    NoneType: ("null",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    str: ("string",),
    list: ("array",),
    dict: ("object",),
}

Schema = Mapping[str, Any] | bool


class TooComplex(Exception):
    """Comparing the two schemas would take too long."""


class Source(NamedTuple):
    """A schema document. named: reference -> another document."""

    root: Any
    named: Mapping[str, "Source"]


class Node(NamedTuple):
    """A part of a document."""

    schema: Any
    source: Source

    def at(self, schema: Any) -> "Node":
        return Node(schema, self.source)


def narrowings(reader: Source, writer: Source) -> list[str]:
    """One sentence for each place where a value of the writer may be invalid for the reader.

    Raises TooComplex.
    """
    try:
        found = Comparison().narrowings(Node(reader.root, reader), Node(writer.root, writer), "#")
    except RecursionError:
        raise TooComplex from None
    return list(dict.fromkeys(found))


class Comparison:
    """results: of the pairs that are compared already; of one that is under way, so that recursive
    schemas end, none. The schemas are kept, as their ids are the keys."""

    def __init__(self) -> None:
        self.results: dict[tuple[int, int], list[str]] = {}
        self.kept: list[Node] = []

    def narrowings(self, reader: Node, writer: Node, path: str) -> list[str]:
        pair = (id(reader.schema), id(writer.schema))
        if pair not in self.results:
            if len(self.results) > MOST_PAIRS:
                raise TooComplex
            self.kept += (reader, writer)
            self.results[pair] = []
            self.results[pair] = list(self._narrowings(resolved(reader), resolved(writer), path))
        return self.results[pair]

    def _narrowings(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        if writer.schema is False or reader.schema in (True, {}):
            return
        if reader.schema is False:
            yield f"{path}: nothing is valid for the reader"
            return
        if writer.schema is True:
            writer = writer.at({})
        if union := _union(writer):
            for branch in union:
                yield from self.narrowings(reader, branch, path)
        elif union := _union(reader):
            branches = [self.narrowings(branch, writer, path) for branch in union]
            if all(branches):
                yield f"{path}: none of the reader's alternatives allows it ({branches[0][0]})"
        elif "allOf" in writer.schema or "allOf" in reader.schema:
            # Each part of the reader must be wider than the writer as a whole.
            whole = writer.at(_merged(writer))
            for part in _parts(reader):
                if all(self.narrowings(part, each, path) for each in (whole, *_parts(writer))):
                    yield from self.narrowings(part, whole, path)
        else:
            yield from _types(reader.schema, writer.schema, path)
            yield from _values(reader.schema, writer.schema, path)
            yield from _bounds(reader.schema, writer.schema, path)
            yield from self._object(reader, writer, path)
            yield from self._array(reader, writer, path)
            # Keywords without rules of their own, such as pattern and format, must be equal.
            for name in sorted(reader.schema.keys() - ANNOTATIONS - COMPARED):
                is_other = reader.schema[name] != writer.schema.get(name)
                if is_other and _allowed(writer.schema) is None:
                    text = "which the writer has not or has otherwise"
                    yield f"{path}: the reader has {name}, {text}"
            if "$ref" in reader.schema and reader.schema["$ref"] != writer.schema.get("$ref"):
                yield f"{path}: {reader.schema['$ref']} cannot be resolved"

    def _object(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        if not _allows(writer.schema, "object"):
            return
        ours, theirs = reader.schema.get("properties", {}), writer.schema.get("properties", {})
        for name in set(reader.schema.get("required", ())) - set(writer.schema.get("required", ())):
            yield f"{path}: the reader requires {name!r}, which the writer may leave out"
        rest, place = reader.schema.get("additionalProperties", True), f"{path}/properties/"
        for name, schema in theirs.items():
            mine = ours.get(name, rest)
            yield from self.narrowings(reader.at(mine), writer.at(schema), place + name)
        others = writer.schema.get("additionalProperties", True)
        if others not in (True, {}) or not theirs:
            its = writer.at(others)
            yield from self.narrowings(reader.at(rest), its, f"{path}/additionalProperties")
            for name in ours.keys() - theirs.keys():
                yield from self.narrowings(reader.at(ours[name]), its, place + name)

    def _array(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        if not _allows(writer.schema, "array"):
            return
        ours, our_rest = _items(reader)
        theirs, their_rest = _items(writer)
        for index in range(max(len(ours), len(theirs))):
            mine = ours[index] if index < len(ours) else our_rest
            its = theirs[index] if index < len(theirs) else their_rest
            yield from self.narrowings(mine, its, f"{path}/items/{index}")
        yield from self.narrowings(our_rest, their_rest, f"{path}/items")


def resolved(node: Node) -> Node:
    """Behind $ref; as it is if the reference is unknown or leads in a circle."""
    for _ in range(100):
        schema = node.schema
        if not (isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str)):
            return node
        found = target(schema["$ref"], node.source)
        if found is None:
            return node
        others = {name: each for name, each in schema.items() if name != "$ref"}
        if others.keys() - ANNOTATIONS and isinstance(found.schema, Mapping):
            # Since draft 2019-09, keywords beside $ref hold as well.
            parts = [{"$ref": schema["$ref"]}, *others.get("allOf", ())]
            return node.at({**others, "allOf": parts})
        node = found
    return node


def target(reference: str, source: Source) -> Node | None:
    """What a reference leads to; None if it leads nowhere."""
    address, _, pointer = reference.partition("#")
    named = source.named
    of = (named.get(address) or named.get(reference)) if address else source
    if of is None:
        return None
    found: Any = of.root
    if pointer and not pointer.startswith("/"):  # a name for a place
        return None
    for part in filter(None, pointer.split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return Node(found, of)


def _union(node: Node) -> list[Node]:
    """The alternatives of a schema that consists of them, or that has a list of types."""
    schema = node.schema
    for name in UNIONS:
        others = {key: each for key, each in schema.items() if key != name}
        if isinstance(schema.get(name), list):
            if others.keys() <= ANNOTATIONS:
                return [node.at(each) for each in schema[name]]
            return [
                node.at({**others, "allOf": [each, *others.get("allOf", ())]})
                for each in schema[name]
            ]
    if isinstance(schema.get("type"), list):
        return [node.at({**schema, "type": each}) for each in schema["type"]]
    return []


def _parts(node: Node) -> list[Node]:
    own = {name: each for name, each in node.schema.items() if name != "allOf"}
    parts = [node.at(each) for each in node.schema.get("allOf", ())]
    return [*([node.at(own)] if own.keys() - ANNOTATIONS else []), *parts]


def _merged(node: Node) -> dict[str, Any]:
    """What the parts of a conjunction say of different keywords; of one keyword, the first."""
    found: dict[str, Any] = {}
    for part in _parts(node):
        schema = resolved(part).schema
        if not isinstance(schema, Mapping) or resolved(part).source is not node.source:
            continue
        for name, each in schema.items():
            if name == "properties":
                found[name] = {**each, **found.get(name, {})}
            elif name == "required":
                found[name] = [*found.get(name, ()), *each]
            else:
                found.setdefault(name, each)
    found.pop("allOf", None)
    return found


def _allows(schema: Mapping[str, Any], type_: str) -> bool:
    return schema.get("type") in (None, type_) and not {"enum", "const"} & schema.keys()


def _kinds(schema: Mapping[str, Any]) -> frozenset[str]:
    type_ = schema.get("type")
    found = ALL_TYPES if type_ is None else frozenset({str(type_)})
    return found | {"integer"} if "number" in found else found


def _types(reader: Mapping[str, Any], writer: Mapping[str, Any], path: str) -> Iterator[str]:
    if {"enum", "const"} & writer.keys() and "type" not in writer:
        ours = _kinds(reader)
        for value in _allowed(writer) or ():
            is_whole = isinstance(value, float) and value.is_integer()
            if ours.isdisjoint(TYPES[type(value)]) and not (is_whole and "integer" in ours):
                yield f"{path}: the reader does not allow the types of all values"
                return
    elif missing := _kinds(writer) - _kinds(reader):
        yield f"{path}: the reader does not allow {', '.join(sorted(missing))}"


def _allowed(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values that it lists; None if it lists none."""
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _values(reader: Mapping[str, Any], writer: Mapping[str, Any], path: str) -> Iterator[str]:
    ours, theirs = _allowed(reader), _allowed(writer)
    if ours is None:
        return
    if theirs is None:
        yield f"{path}: the reader allows listed values alone"
        return
    known = [(type(each) is bool, each) for each in ours]
    if missing := [each for each in theirs if (type(each) is bool, each) not in known]:
        yield f"{path}: the reader does not allow {', '.join(map(json.dumps, missing[:5]))}"


def _bounds(reader: Mapping[str, Any], writer: Mapping[str, Any], path: str) -> Iterator[str]:
    if _allowed(writer) is not None:
        return
    for name in (*LOWER, *UPPER):
        ours, theirs = reader.get(name), writer.get(name)
        if ours is None or ours == theirs:
            continue
        if theirs is None or (ours > theirs) == (name in LOWER):
            yield f"{path}: the reader's {name} is {ours}, the writer's is {_said(theirs)}"
    step, other = reader.get("multipleOf"), writer.get("multipleOf")
    if step is not None and (other is None or other % step):
        yield f"{path}: the reader's multipleOf is {step}, the writer's is {_said(other)}"
    if reader.get("uniqueItems") and not writer.get("uniqueItems"):
        yield f"{path}: the reader wants unique items"


def _said(bound: Any) -> str:
    return "not set" if bound is None else str(bound)


def _items(node: Node) -> tuple[Sequence[Node], Node]:
    """Of the first places, and of all others."""
    schema = node.schema
    first, rest = schema.get("prefixItems", ()), schema.get("items", True)
    if isinstance(rest, list):  # before draft 2020-12
        first, rest = rest, schema.get("additionalItems", True)
    return [node.at(each) for each in first], node.at(rest)
