"""The published schema of a message class: Avro, JSON Schema, and an example of its stored form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET, inspect

from eventstore import codec

Schema = dict[str, Any]


class NoSchema(TypeError):
    """A field has a type that Avro cannot express."""


def avro(cls: type, *, namespace: str) -> Schema:
    """An Avro record (Avro 1.12 specification). Times are microseconds since 1970, ids are UUID
    strings.

    Raises NoSchema.
    """
    return _record(_struct(cls), namespace, set())


def json_schema(cls: type) -> Schema:
    """JSON Schema, draft 2020-12, of the stored form."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | msgspec.json.schema(cls)


def components(classes: Sequence[type]) -> tuple[Sequence[Schema], dict[str, Schema]]:
    """References to the classes, in their order, and the JSON Schemas of all their parts by name.

    For OpenAPI and AsyncAPI documents, which keep each schema once, under #/components/schemas.
    """
    return msgspec.json.schema_components(classes, ref_template="#/components/schemas/{name}")


def inlined(cls: type) -> Schema:
    """JSON Schema of a class without references: each part is repeated where it is used."""
    (reference,), parts = components([cls])
    return _without_references(reference, parts)  # type: ignore[no-any-return]


def _without_references(schema: Any, parts: Mapping[str, Any]) -> Any:
    match schema:
        case {"$ref": reference}:
            return _without_references(parts[reference.rpartition("/")[2]], parts)
        case dict():
            return {name: _without_references(each, parts) for name, each in schema.items()}
        case list():
            return [_without_references(each, parts) for each in schema]
    return schema


def example(cls: type) -> Schema:
    """A stored form with every field filled. It must stay readable for ever."""
    example: Schema = codec.decode_json(codec.encode_json(_example(_struct(cls))))
    return example


def _struct(cls: type) -> inspect.StructType:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info


def _record(info: inspect.StructType, namespace: str, named: set[str]) -> Schema:
    named.add(info.cls.__name__)
    fields = []
    for field in info.fields:
        described = {"name": field.encode_name, "type": _avro_type(field.type, namespace, named)}
        if field.default not in (NODEFAULT, UNSET):
            described["default"] = msgspec.to_builtins(field.default)
        elif field.default_factory not in (NODEFAULT, UNSET):
            described["default"] = msgspec.to_builtins(field.default_factory())
        fields.append(described)
    return {"type": "record", "name": info.cls.__name__, "namespace": namespace, "fields": fields}


def _avro_type(info: inspect.Type, namespace: str, named: set[str]) -> Any:
    match info:
        case inspect.StructType(cls=cls) if cls.__name__ in named:
            return cls.__name__
        case inspect.StructType():
            return _record(info, namespace, named)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return {"type": "array", "items": _avro_type(item, namespace, named)}
        case inspect.DictType(value_type=value):
            return {"type": "map", "values": _avro_type(value, namespace, named)}
        case inspect.UnionType(types=types):
            # Null first, so that null can be the default.
            ordered = sorted(types, key=lambda each: not isinstance(each, inspect.NoneType))
            return [_avro_type(each, namespace, named) for each in ordered]
    try:
        return SIMPLE[type(info)]
    except KeyError:
        raise NoSchema(f"Avro cannot express {type(info).__name__}.") from None


def _example(info: inspect.Type) -> Any:
    match info:
        case inspect.StructType(fields=fields):
            return {field.encode_name: _example(field.type) for field in fields}
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return [_example(item)]
        case inspect.DictType(value_type=value):
            return {"key": _example(value)}
        case inspect.UnionType(types=types):
            return _example(next(each for each in types if not isinstance(each, inspect.NoneType)))
    return EXAMPLES[type(info)]()


SIMPLE: Mapping[type[inspect.Type], Any] = {
    inspect.StrType: "string",
    inspect.IntType: "long",
    inspect.BoolType: "boolean",
    inspect.FloatType: "double",
    inspect.NoneType: "null",
    inspect.UUIDType: {"type": "string", "logicalType": "uuid"},
    inspect.DateTimeType: {"type": "long", "logicalType": "timestamp-micros"},
}

EXAMPLES: Mapping[type[inspect.Type], Callable[[], Any]] = {
    # A valid currency code, because some messages accept nothing else.
    inspect.StrType: lambda: "EUR",
    inspect.IntType: lambda: 2,
    inspect.BoolType: lambda: True,
    inspect.FloatType: lambda: 1.5,
    inspect.NoneType: lambda: None,
    inspect.UUIDType: lambda: "0198c0de-0000-7000-8000-000000000001",
    inspect.DateTimeType: lambda: "2026-01-31T12:00:00.000001Z",
}
