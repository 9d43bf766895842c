"""The published schema of a message, made from its class: Avro, JSON Schema, and an example of its
stored form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET
from msgspec import inspect as shapes

from eventstore import codec

Schema = dict[str, Any]


class NoSchema(TypeError):
    """A field of a type that has no counterpart in Avro."""


def avro(cls: type, *, namespace: str) -> Schema:
    """An Avro record (Avro 1.12 specification). Times are microseconds since the epoch, ids are
    uuid strings.

    Raises NoSchema.
    """
    return _record(_struct(cls), namespace, set())


def json_schema(cls: type) -> Schema:
    """JSON Schema, draft 2020-12, of the stored form."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | msgspec.json.schema(cls)


def components(classes: Sequence[type]) -> tuple[Sequence[Schema], dict[str, Schema]]:
    """References to the classes, in their order, and by name the JSON Schemas of all that they are
    made of.

    As documents of OpenAPI and AsyncAPI keep them: each once, under #/components/schemas.
    """
    return msgspec.json.schema_components(classes, ref_template="#/components/schemas/{name}")


def inlined(cls: type) -> Schema:
    """JSON Schema of a class that names no others: whatever it is made of stands in its place."""
    (reference,), parts = components([cls])
    return _in_place(reference, parts)  # type: ignore[no-any-return]


def _in_place(schema: Any, parts: Mapping[str, Any]) -> Any:
    match schema:
        case {"$ref": reference}:
            return _in_place(parts[reference.rpartition("/")[2]], parts)
        case dict():
            return {name: _in_place(each, parts) for name, each in schema.items()}
        case list():
            return [_in_place(each, parts) for each in schema]
    return schema


def example(cls: type) -> Schema:
    """One stored form with every field filled: what has to stay readable for ever."""
    made: Schema = codec.decode_json(codec.encode_json(_example(_struct(cls))))
    return made


def _struct(cls: type) -> shapes.StructType:
    info = shapes.type_info(cls)
    assert isinstance(info, shapes.StructType)
    return info


def _record(info: shapes.StructType, namespace: str, named: set[str]) -> Schema:
    named.add(info.cls.__name__)
    fields = [_field(field, namespace, named) for field in info.fields]
    return {"type": "record", "name": info.cls.__name__, "namespace": namespace, "fields": fields}


def _field(field: shapes.Field, namespace: str, named: set[str]) -> Schema:
    described = {"name": field.encode_name, "type": _avro_type(field.type, namespace, named)}
    if field.default not in (NODEFAULT, UNSET):
        described["default"] = msgspec.to_builtins(field.default)
    elif field.default_factory not in (NODEFAULT, UNSET):
        described["default"] = msgspec.to_builtins(field.default_factory())
    return described


def _avro_type(info: shapes.Type, namespace: str, named: set[str]) -> Any:
    match info:
        case shapes.StructType(cls=cls) if cls.__name__ in named:
            return cls.__name__
        case shapes.StructType():
            return _record(info, namespace, named)
        case shapes.VarTupleType(item_type=item) | shapes.ListType(item_type=item):
            return {"type": "array", "items": _avro_type(item, namespace, named)}
        case shapes.DictType(value_type=value):
            return {"type": "map", "values": _avro_type(value, namespace, named)}
        case shapes.UnionType(types=types):
            # Null first, so that null can be the default.
            ordered = sorted(types, key=lambda each: not isinstance(each, shapes.NoneType))
            return [_avro_type(each, namespace, named) for each in ordered]
    try:
        return SIMPLE[type(info)]
    except KeyError:
        raise NoSchema(f"{type(info).__name__} has no counterpart in Avro.") from None


def _example(info: shapes.Type) -> Any:
    match info:
        case shapes.StructType(fields=fields):
            return {field.encode_name: _example(field.type) for field in fields}
        case shapes.VarTupleType(item_type=item) | shapes.ListType(item_type=item):
            return [_example(item)]
        case shapes.DictType(value_type=value):
            return {"key": _example(value)}
        case shapes.UnionType(types=types):
            return _example(next(each for each in types if not isinstance(each, shapes.NoneType)))
    return EXAMPLES[type(info)]()


SIMPLE: Mapping[type[shapes.Type], Any] = {
    shapes.StrType: "string",
    shapes.IntType: "long",
    shapes.BoolType: "boolean",
    shapes.FloatType: "double",
    shapes.NoneType: "null",
    shapes.UUIDType: {"type": "string", "logicalType": "uuid"},
    shapes.DateTimeType: {"type": "long", "logicalType": "timestamp-micros"},
}

EXAMPLES: Mapping[type[shapes.Type], Callable[[], Any]] = {
    # Three letters in upper case are a currency too, so that every message accepts it.
    shapes.StrType: lambda: "EUR",
    shapes.IntType: lambda: 2,
    shapes.BoolType: lambda: True,
    shapes.FloatType: lambda: 1.5,
    shapes.NoneType: lambda: None,
    shapes.UUIDType: lambda: "0198c0de-0000-7000-8000-000000000001",
    shapes.DateTimeType: lambda: "2026-01-31T12:00:00.000001Z",
}
