"""Where the references within a JSON Schema lead, and whether a validator that follows them makes
progress: a schema may stand in a property or an item of itself, but not in its own place."""

import json
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple
from urllib.parse import urljoin

from jsonschema_specifications import REGISTRY
from referencing.jsonschema import DRAFT202012, specification_with

from . import json_rules

# Keywords whose schemas hold for the same value.
LISTS = ("allOf", "anyOf", "oneOf")
SINGLE = ("not", "if", "then", "else")
MAPPED = ("dependentSchemas", "dependencies")


class Nowhere(Exception):
    """A reference that leads nowhere, or an address that is none."""


class Place(NamedTuple):
    """A schema, and what finds the references in it. Both of the library."""

    resource: Any
    resolver: Any


class References:
    """schemas: each schema of the document that is an object, with what its $ref leads to, or None.
    strays: those that references alone lead to, under keywords that are unknown.

    Raises Nowhere.
    """

    def __init__(self, source: json_rules.Source) -> None:
        self.schemas: list[tuple[dict[str, Any], Any]] = []
        self.strays: list[dict[str, Any]] = []
        self._source, self._own, self._seen = source, _objects(source.root), set[int]()
        root = _resource(source.root)
        self._aims: list[Place] = []
        self._walk(Place(root, _resolver(root, source)))
        while self._aims:
            aim = self._aims.pop()
            if id(aim.resource.contents) not in self._seen:
                self.strays.append(aim.resource.contents)
                self._walk(aim)

    def has_circle(self) -> bool:
        """Whether a schema stands, by way of references, in its own place."""
        graph = TopologicalSorter[int]()
        for schema, target in self.schemas:
            places = [each for each in (*_in_place(schema), target) if isinstance(each, dict)]
            graph.add(id(schema), *map(id, places))
        try:
            graph.prepare()
        except CycleError:
            return True
        return False

    def _walk(self, first: Place) -> None:
        waiting = [first]
        while waiting:
            place = waiting.pop()
            schema = place.resource.contents
            if not isinstance(schema, dict) or id(schema) in self._seen:
                continue
            self._seen.add(id(schema))
            waiting += _children(place)
            target = self._target(schema["$ref"], place) if "$ref" in schema else None
            self.schemas.append((schema, target))

    def _target(self, reference: Any, place: Place) -> Any:
        try:
            found = place.resolver.lookup(reference)
            target, resolver = found.contents, found.resolver
        except Exception:  # noqa: BLE001  whatever the library raises: the reference is at fault
            node = json_rules.target(str(reference), self._source)
            target, resolver = (node.schema if node else None), place.resolver
        if not isinstance(target, dict | bool):
            raise Nowhere(f"the $ref {json.dumps(reference)[:200]} leads to no schema")
        # Other documents were checked when they were registered.
        if id(target) in self._own:
            self._aims.append(Place(_resource(target), resolver))
        return target


def _resource(contents: Any) -> Any:
    dialect = contents.get("$schema") if isinstance(contents, dict) else None
    known = specification_with(dialect if isinstance(dialect, str) else "", default=DRAFT202012)
    return known.create_resource(contents)


def _resolver(root: Any, source: json_rules.Source) -> Any:
    """References to other documents are made by their names, also as relative addresses."""
    try:
        base = root.id() or ""
        others = {name: _resource(each.root) for name, each in source.named.items()}
        relative = {urljoin(base, name): each for name, each in others.items()}
        known = REGISTRY.with_resources([*(others | relative).items(), (base, root)])
        return known.crawl().resolver(base_uri=base)
    except Exception:  # noqa: BLE001  whatever the library raises: the text is at fault
        raise Nowhere("its $id, $anchor or $schema members cannot be read") from None


def _children(place: Place) -> list[Place]:
    try:
        found = list(place.resource.subresources())
        return [Place(each, place.resolver.in_subresource(each)) for each in found]
    except Exception:  # noqa: BLE001  whatever the library raises: the text is at fault
        raise Nowhere("an $id or $schema member cannot be read") from None


def _objects(tree: Any) -> set[int]:
    """The identities of all objects in the document."""
    found, waiting = set[int](), [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            found.add(id(each))
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return found


def _in_place(schema: dict[str, Any]) -> Iterator[Any]:
    for name in LISTS:
        if isinstance(schema.get(name), list):
            yield from schema[name]
    for name in SINGLE:
        yield schema.get(name)
    for name in MAPPED:
        if isinstance(schema.get(name), dict):
            yield from schema[name].values()
