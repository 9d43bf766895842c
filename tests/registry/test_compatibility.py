"""Known changes of schemas with the right answer for each, and the levels that are enforced."""

import json

import pytest

from eventstore.schemas.registry import documents, rules

from .conftest import ONE, SKU, avro, json_schema, object_of, record, refused

BOTH, BACKWARD, FORWARD, NONE = (True, True), (True, False), (False, True), (False, False)
INT, STRING = {"type": "integer"}, {"type": "string"}


def enum(*symbols, **more):
    return {"type": "enum", "name": "Size", "symbols": list(symbols)} | more


def logical(type_, name, **more):
    return {"type": type_, "logicalType": name} | more


def decimal(precision, scale):
    return logical("bytes", "decimal", precision=precision, scale=scale)


def of(type_, *default):
    """A record with one field of the type."""
    return record(("field", type_, *default))


def with_aliases(field, *aliases):
    return {"name": field, "type": "string", "aliases": list(aliases)}


def fields(*described, **more):
    return {"type": "record", "name": "Sold", "namespace": "shop", "fields": list(described)} | more


TREE = ("children", {"type": "array", "items": "shop.Sold"})
NESTED = ("inner", record(("a", "int"), name="Inner"))
WIDER = ("inner", record(("a", "int"), ("b", "int"), name="Inner"))

# name: (old, new, answer)
AVRO = {
    "a field with a default is added": (record(SKU), record(SKU, ("b", "int", 0)), BOTH),
    "a field without a default is added": (record(SKU), record(SKU, ("b", "int")), FORWARD),
    "a field with a default is removed": (record(SKU, ("b", "int", 0)), record(SKU), BOTH),
    "a field without a default is removed": (record(SKU, ("b", "int")), record(SKU), BACKWARD),
    "int becomes long": (of("int"), of("long"), BACKWARD),
    "long becomes int": (of("long"), of("int"), FORWARD),
    "int becomes double": (of("int"), of("double"), BACKWARD),
    "long becomes float": (of("long"), of("float"), BACKWARD),
    "float becomes double": (of("float"), of("double"), BACKWARD),
    "int becomes string": (of("int"), of("string"), NONE),
    "string becomes bytes": (of("string"), of("bytes"), BOTH),
    "boolean becomes int": (of("boolean"), of("int"), NONE),
    "a field is renamed": (record(SKU), record(("code", "string")), NONE),
    "a field is renamed with an alias": (
        record(SKU),
        fields(with_aliases("code", "sku")),
        BACKWARD,
    ),
    "a record is renamed": (record(SKU), record(SKU, name="Bought"), NONE),
    "a record is renamed with an alias": (
        record(SKU),
        record(SKU, name="Bought", aliases=["shop.Sold"]),
        BACKWARD,
    ),
    "an enum gets a symbol": (of(enum("S", "M")), of(enum("S", "M", "L")), BACKWARD),
    "an enum loses a symbol": (of(enum("S", "M", "L")), of(enum("S", "M")), FORWARD),
    "an enum with a default loses a symbol": (
        of(enum("S", "M", "L")),
        of(enum("S", "M", default="S")),
        BOTH,
    ),
    "a type becomes nullable": (of("string"), of(["null", "string"]), BACKWARD),
    "a type is nullable no more": (of(["null", "string"]), of("string"), FORWARD),
    "a union gets a branch": (of(["null", "int"]), of(["null", "int", "string"]), BACKWARD),
    "a union loses a branch": (of(["null", "int", "string"]), of(["null", "int"]), FORWARD),
    "items of an array are promoted": (
        of({"type": "array", "items": "int"}),
        of({"type": "array", "items": "long"}),
        BACKWARD,
    ),
    "values of a map change": (
        of({"type": "map", "values": "int"}),
        of({"type": "map", "values": "string"}),
        NONE,
    ),
    "an array becomes a map": (
        of({"type": "array", "items": "int"}),
        of({"type": "map", "values": "int"}),
        NONE,
    ),
    "a fixed changes its size": (
        of({"type": "fixed", "name": "F", "size": 4}),
        of({"type": "fixed", "name": "F", "size": 8}),
        NONE,
    ),
    "a default changes": (of("int", 0), of("int", 1), BOTH),
    "a doc is added": (record(SKU), record(SKU, doc="What was sold"), BOTH),
    "fields change places": (record(SKU, ("b", "int")), record(("b", "int"), SKU), BOTH),
    "an inner record gets a field": (record(NESTED), record(WIDER), FORWARD),
    "a recursive record gets a field": (
        record(TREE),
        record(TREE, ("b", "int", 0)),
        BOTH,
    ),
    "the precision of a decimal grows": (of(decimal(10, 2)), of(decimal(12, 2)), NONE),
    "the scale of a decimal changes": (of(decimal(10, 2)), of(decimal(10, 3)), NONE),
    "a decimal stays": (of(decimal(10, 2)), of(decimal(10, 2)), BOTH),
    "a decimal becomes bytes": (of(decimal(10, 2)), of("bytes"), NONE),
    "a nullable decimal changes": (
        of(["null", decimal(10, 2)]),
        of(["null", decimal(10, 4)]),
        NONE,
    ),
    "milliseconds become microseconds": (
        of(logical("long", "timestamp-millis")),
        of(logical("long", "timestamp-micros")),
        NONE,
    ),
    "microseconds in items of an array become milliseconds": (
        of({"type": "array", "items": logical("long", "timestamp-micros")}),
        of({"type": "array", "items": logical("long", "timestamp-millis")}),
        NONE,
    ),
    "a local time becomes an instant": (
        of(logical("long", "local-timestamp-millis")),
        of(logical("long", "timestamp-millis")),
        NONE,
    ),
    "a date becomes a time of day": (
        of(logical("int", "date")),
        of(logical("int", "time-millis")),
        NONE,
    ),
    "a date becomes a number": (of(logical("int", "date")), of("long"), NONE),
    "a number becomes an instant": (of("long"), of(logical("long", "timestamp-millis")), NONE),
    "a uuid becomes a text": (of(logical("string", "uuid")), of("string"), BACKWARD),
    "a text becomes a uuid": (of("string"), of(logical("string", "uuid")), FORWARD),
    "a uuid becomes nullable": (
        of(logical("string", "uuid")),
        of(["null", logical("string", "uuid")]),
        BACKWARD,
    ),
    "an unknown logical type is added": (of("string"), of(logical("string", "colour")), BOTH),
}

CLOSED = {"additionalProperties": False}
DEFINED = {"properties": {"a": {"$ref": "#/$defs/A"}}, "type": "object"}
RECURSIVE = {"type": "array", "items": {"$ref": "#"}}

JSON = {
    "an optional property is added": (object_of({"a": INT}), object_of({"a": INT, "b": INT}), BOTH),
    "an optional property is removed": (
        object_of({"a": INT, "b": INT}),
        object_of({"a": INT}),
        BOTH,
    ),
    "a required property is added": (
        object_of({"a": INT}),
        object_of({"a": INT, "b": INT}, required=["b"]),
        FORWARD,
    ),
    "a property becomes optional": (
        object_of({"a": INT}, required=["a"]),
        object_of({"a": INT}),
        BACKWARD,
    ),
    "a closed object gets a property": (
        object_of({"a": INT}, **CLOSED),
        object_of({"a": INT, "b": INT}, **CLOSED),
        BACKWARD,
    ),
    "an object is closed": (object_of({"a": INT}), object_of({"a": INT}, **CLOSED), BOTH),
    "a map of anything is closed": ({"type": "object"}, object_of({"a": INT}, **CLOSED), FORWARD),
    "integer becomes number": (
        object_of({"a": INT}),
        object_of({"a": {"type": "number"}}),
        BACKWARD,
    ),
    "integer becomes string": (object_of({"a": INT}), object_of({"a": STRING}), NONE),
    "a property becomes nullable": (
        object_of({"a": INT}),
        object_of({"a": {"type": ["integer", "null"]}}),
        BACKWARD,
    ),
    "a text may be longer": (
        {"type": "string", "maxLength": 10},
        {"type": "string", "maxLength": 20},
        BACKWARD,
    ),
    "a minimum is added": (INT, {"type": "integer", "minimum": 1}, FORWARD),
    "a maximum grows": (
        {"type": "integer", "maximum": 1},
        {"type": "integer", "maximum": 2},
        BACKWARD,
    ),
    "a multiple gets finer": (
        {"type": "integer", "multipleOf": 10},
        {"type": "integer", "multipleOf": 5},
        BACKWARD,
    ),
    "an enum gets a value": ({"enum": ["S"]}, {"enum": ["S", "M"]}, BACKWARD),
    "a text becomes an enum": (STRING, {"type": "string", "enum": ["S"]}, FORWARD),
    "a constant changes": ({"const": 1}, {"const": 2}, NONE),
    "oneOf gets a branch": ({"oneOf": [INT]}, {"oneOf": [INT, STRING]}, BACKWARD),
    "anyOf loses a branch": ({"anyOf": [INT, STRING]}, {"anyOf": [STRING]}, FORWARD),
    "allOf gets a part": (
        {"allOf": [object_of({"a": INT})]},
        {"allOf": [object_of({"a": INT}), {"required": ["a"]}]},
        FORWARD,
    ),
    "a pattern is added": (STRING, {"type": "string", "pattern": "^a"}, FORWARD),
    "a format changes": (
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
        NONE,
    ),
    "a description changes": (INT, INT | {"description": "Pieces", "title": "A"}, BOTH),
    "a definition changes": (
        DEFINED | {"$defs": {"A": INT}},
        DEFINED | {"$defs": {"A": STRING}},
        NONE,
    ),
    "a definition is given another name": (
        DEFINED | {"$defs": {"A": INT}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/B"}}, "$defs": {"B": INT}},
        BOTH,
    ),
    "items of an array are narrowed": (
        {"type": "array", "items": {"type": "number"}},
        {"type": "array", "items": INT},
        FORWARD,
    ),
    "a tuple gets a place": (
        {"type": "array", "prefixItems": [INT]},
        {"type": "array", "prefixItems": [INT, STRING]},
        FORWARD,
    ),
    "values of a map change": (
        {"type": "object", "additionalProperties": INT},
        {"type": "object", "additionalProperties": STRING},
        NONE,
    ),
    "a recursive schema gets a property": (
        object_of({"children": RECURSIVE}),
        object_of({"children": RECURSIVE, "b": INT}),
        BOTH,
    ),
    "a recursive schema requires a property": (
        object_of({"children": RECURSIVE, "b": INT}),
        object_of({"children": RECURSIVE, "b": INT}, required=["b"]),
        FORWARD,
    ),
    "nothing is allowed any more": (True, False, FORWARD),
    "what cannot be compared stays": ({"not": INT}, {"not": INT}, BOTH),
    "what cannot be compared changes": ({"not": INT}, {"not": STRING}, NONE),
}


def answer(old, new, type_):
    old, new = (
        rules.parse(documents.read(json.dumps(each), type_), lambda reference: None)
        for each in (old, new)
    )
    return not rules.incompatibilities(new, old), not rules.incompatibilities(old, new)


@pytest.mark.parametrize(("old", "new", "expected"), AVRO.values(), ids=AVRO)
def test_avro(old, new, expected):
    assert answer(old, new, "AVRO") == expected


@pytest.mark.parametrize(("old", "new", "expected"), JSON.values(), ids=JSON)
def test_json(old, new, expected):
    assert answer(old, new, "JSON") == expected


def test_a_schema_is_compatible_with_itself():
    for table, type_ in ((AVRO, "AVRO"), (JSON, "JSON")):
        for old, new, _ in table.values():
            assert answer(old, old, type_) == BOTH
            assert answer(new, new, type_) == BOTH


# Three versions, each compatible with the one before it alone.
BACKWARD_STEPS = (avro(SKU, ("b", "int")), avro(SKU), avro(SKU, ("b", "string", "")))
FORWARD_STEPS = tuple(reversed(BACKWARD_STEPS))
LEVELS = {
    "NONE": (avro(("a", "int")), avro(("a", "string")), None),
    "BACKWARD": (avro(SKU, ("b", "int")), avro(SKU), avro(SKU, ("b", "int"), ("c", "int"))),
    "FORWARD": (avro(SKU), avro(SKU, ("b", "int")), avro(("b", "int"))),
    "FULL": (avro(SKU), avro(SKU, ("b", "int", 0)), avro(SKU, ("c", "int"))),
}


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_enforced_when_a_schema_is_registered(client, level):
    first, good, bad = LEVELS[level]
    client.set_compatibility("a", level)
    client.register_schema("a", first)
    assert client.test_compatibility("a", good)
    client.register_schema("a", good)
    if bad is not None:
        assert not client.test_compatibility("a", bad)
        assert refused(client.register_schema, "a", bad) == (409, 409)
    assert client.get_versions("a") == [1, 2]


@pytest.mark.parametrize(
    ("level", "steps"), [("BACKWARD", BACKWARD_STEPS), ("FORWARD", FORWARD_STEPS)]
)
def test_a_transitive_level_looks_at_all_versions(client, level, steps):
    for subject, of_subject in (("last", level), ("all", f"{level}_TRANSITIVE")):
        client.set_compatibility(subject, of_subject)
        client.register_schema(subject, steps[0])
        client.register_schema(subject, steps[1])
    client.register_schema("last", steps[2])
    assert not client.test_compatibility_all_versions("all", steps[2])
    assert refused(client.register_schema, "all", steps[2]) == (409, 409)


def test_full_transitive(client):
    client.set_compatibility("a", "FULL_TRANSITIVE")
    client.register_schema("a", avro(SKU, ("b", "int", 0)))
    client.register_schema("a", avro(SKU))
    assert refused(client.register_schema, "a", avro(SKU, ("b", "string", ""))) == (409, 409)


def test_the_level_of_all_counts_where_a_subject_has_none(client):
    client.set_compatibility(level="NONE")
    client.register_schema("a", ONE)
    client.register_schema("a", avro(("sku", "int")))
    client.delete_config()
    assert refused(client.register_schema, "a", avro(("sku", "bytes"))) == (409, 409)


def test_deleted_versions_are_not_looked_at(client):
    client.register_schema("a", ONE)
    client.delete_version("a", 1)
    client.register_schema("a", avro(("sku", "int")))


def test_a_subject_keeps_its_type(client):
    client.register_schema("a", ONE)
    assert refused(client.register_schema, "a", json_schema({"sku": STRING})) == (409, 409)


def test_a_change_behind_a_reference_counts(client, http):
    client.set_compatibility("money", "NONE")
    client.register_schema("money", avro(("cents", "long"), name="Money"))
    client.register_schema("money", avro(("cents", "string"), name="Money"))
    body = {"schema": avro(("price", "shop.Money")).schema_str}

    def with_version(number):
        references = [{"name": "shop.Money", "subject": "money", "version": number}]
        return http.post("/subjects/a/versions", json=body | {"references": references})

    assert with_version(1).status_code == 200
    assert with_version(2).status_code == 409


def test_many_versions_are_compared(client):
    client.set_compatibility("a", "FULL_TRANSITIVE")
    for number in range(45):
        client.register_schema("a", avro(SKU, (f"f{number}", "int", 0)))
    assert refused(client.register_schema, "a", avro(SKU, ("f0", "string", ""))) == (409, 409)
    assert len(client.get_versions("a")) == 45
