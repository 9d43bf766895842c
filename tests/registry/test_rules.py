"""What a schema must be beyond what the libraries check, and what stays allowed."""

import json

import pytest

from eventstore.schemas.registry import avro_rules, documents, rules
from eventstore.schemas.registry.documents import Reference
from eventstore.schemas.registry.errors import RegistryError

from .conftest import record

ENUM = {"type": "enum", "name": "Size", "symbols": ["S", "M"]}
FIXED = {"type": "fixed", "name": "Two", "size": 2}
INTS = {"type": "array", "items": "int"}
TREE = ["null", {"type": "map", "values": "shop.Sold"}]
INNER = record(("n", "int"), name="Inner")


def parsed(schema, type_="AVRO", found=None, names=()):
    references = tuple(Reference(each, each, 1) for each in names)
    document = documents.read(json.dumps(schema), type_, references)
    return rules.parse(document, lambda _: documents.read(json.dumps(found), type_))


def problem(schema, type_="AVRO"):
    with pytest.raises(RegistryError) as error:
        parsed(schema, type_)
    assert error.value.kind.code == 42201
    return str(error.value)


WRONG = [
    ("int", 2**31),
    ("int", 1099511627776),
    ("int", True),
    ("long", 2**70),
    ("long", -(2**63) - 1),
    ("double", False),
    ("bytes", "\u0100"),
    (INTS, [1, 2**31]),
    ({"type": "map", "values": "int"}, {"a": 2**31}),
    (["null", "int"], 2**31),
    (ENUM, "L"),
    (FIXED, "abc"),
    (INNER, {}),
    (INNER, {"n": 2**31}),
]
RIGHT = [
    ("int", 2**31 - 1),
    ("int", -(2**31)),
    ("long", 2**63 - 1),
    ("double", 1),
    ("bytes", "\u00ff"),
    (INTS, []),
    (["null", "int"], None),
    (["null", "int"], 7),
    (ENUM, "M"),
    (FIXED, "ab"),
    (INNER, {"n": 1}),
    (record(("n", "int", 1), name="Inner"), {}),
    (TREE, None),
]


@pytest.mark.parametrize(("type_", "default"), WRONG, ids=repr)
def test_a_default_that_its_type_cannot_hold(type_, default):
    assert "the default of shop.Sold.a is no value" in problem(record(("a", type_, default)))


@pytest.mark.parametrize(("type_", "default"), RIGHT, ids=repr)
def test_a_default_that_its_type_holds(type_, default):
    assert parsed(record(("a", type_, default))).type == "AVRO"


def test_comparing_defaults_has_an_end(monkeypatch):
    monkeypatch.setattr(avro_rules, "MOST_PAIRS", 2)
    assert "the default" in problem(record(("a", INTS, [1000, 2000, 3000])))


@pytest.mark.parametrize("size", [2**31, 10**23, True])
def test_a_size_that_is_no_int(size):
    assert "the size of Two is not" in problem(FIXED | {"size": size})


def test_the_largest_size():
    assert parsed(FIXED | {"size": 2**31 - 1}).schema.size == 2**31 - 1


DRAFT_4 = "http://json-schema.org/draft-04/schema#"
NOWHERE = {
    "no such part": {"$ref": "#/nope"},
    "in a property": {"properties": {"a": {"$ref": "#/$defs/A"}}},
    "no such anchor": {"items": {"$ref": "#nope"}},
    "an address": {"$ref": "http://127.0.0.1:1/x"},
    "no address": {"$ref": "x y%%%"},
    "no schema": {"$ref": "#/title", "title": "a"},
    "no text": {"$schema": DRAFT_4, "$ref": 5},
    "behind a reference": {"$ref": "#/parts/A", "parts": {"A": {"$ref": "#/nope"}}},
}


@pytest.mark.parametrize("schema", NOWHERE.values(), ids=NOWHERE)
def test_a_reference_that_leads_nowhere(schema):
    assert "leads to no schema" in problem(schema, "JSON")


def test_a_reference_leads_to_a_schema_that_is_none():
    assert "$.type" in problem({"$ref": "#/parts/A", "parts": {"A": {"type": 5}}}, "JSON")


CIRCLES = {
    "itself": {"$ref": "#"},
    "in a conjunction": {"allOf": [{"$ref": "#"}]},
    "in a negation": {"not": {"$ref": "#"}},
    "of two": {
        "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/B"}]}, "B": {"$ref": "#/$defs/A"}},
        "items": {"$ref": "#/$defs/A"},
    },
}


@pytest.mark.parametrize("schema", CIRCLES.values(), ids=CIRCLES)
def test_a_circle_without_progress(schema):
    assert "lead in a circle" in problem(schema, "JSON")


ALLOWED = {
    "a list of itself": {"type": "array", "items": {"$ref": "#"}},
    "a tree": {
        "$defs": {"N": {"type": "object", "properties": {"l": {"$ref": "#/$defs/N"}}}},
        "$ref": "#/$defs/N",
    },
    "an anchor": {"$defs": {"A": {"$anchor": "a"}}, "items": {"$ref": "#a"}},
    "an address within": {
        "$id": "http://shop/all",
        "$defs": {"A": {"$id": "a"}},
        "items": {"$ref": "http://shop/a"},
    },
    "a dialect": {"items": {"$ref": "http://json-schema.org/draft-07/schema#"}},
    "a value": {"const": {"$ref": "#/nope"}, "enum": [{"$ref": "#/nope"}]},
    "a property of this name": {"properties": {"$ref": {"type": "string"}}},
    "a draft 4": {"$schema": DRAFT_4, "minimum": 5, "exclusiveMinimum": True},
    "a long way": {
        "$defs": {f"A{n}": {"$ref": f"#/$defs/A{n + 1}"} for n in range(2000)} | {"A2000": {}},
        "$ref": "#/$defs/A0",
    },
}


@pytest.mark.parametrize("schema", ALLOWED.values(), ids=ALLOWED)
def test_a_reference_that_leads_somewhere(schema):
    assert parsed(schema, "JSON").type == "JSON"


@pytest.mark.parametrize("base", [{}, {"$id": "http://shop/price.json"}])
def test_a_reference_to_another_document(base):
    schema = {"properties": {"a": {"$ref": "money.json#/$defs/A"}}} | base
    assert parsed(schema, "JSON", {"$defs": {"A": {}}}, ["money.json"]).type == "JSON"
    assert "leads to no schema" in problem(schema, "JSON")
