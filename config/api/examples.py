"""Examples for everything in the OpenAPI and AsyncAPI documents, made from the schemas and
example_values.py."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from config import problems
from config.api.example_values import (
    FORMATS,
    MISSING,
    PROBLEMS,
    PROBLEMS_AT,
    PROBLEMS_INSTANCE,
    VALUES,
    VALUES_OF,
)
from eventstore import settings

Schema = Mapping[str, Any]


def add(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    schemas = result["components"]["schemas"]
    for path, operations in result["paths"].items():
        for operation in operations.values():
            responses, side = operation["responses"], operation["tags"][0]
            for parameter in operation.get("parameters", ()):
                if "examples" not in parameter:
                    name, schema = parameter["name"], parameter["schema"]
                    parameter["example"] = of(schema, schemas, name, side)
            for answer in responses.values():
                for name, header in answer.get("headers", {}).items():
                    header["example"] = of(header["schema"], schemas, name, side)
            contents = [
                (status, *content)
                for status, body in (("", operation.get("requestBody", {})), *responses.items())
                for content in body.get("content", {}).items()
            ]
            for status, media_type, content in contents:
                if media_type == "application/problem+json":
                    content["example"] = _problem(int(status), path)
                    continue
                example = of(content["schema"], schemas, "", operation["operationId"])
                if isinstance(example, dict) and example.get("next") == MISSING:
                    cursor = quote(VALUES["cursor"])
                    example["next"] = f"{_concrete(path)}?limit=50&cursor={cursor}"
                content["example"] = example
    return result


def of(schema: Schema, schemas: Schema, name: str = "", owner: str = "") -> Any:
    """An example. name: of the member that has the schema. owner: the name of the schema that has
    the member."""
    if "const" in schema:
        return schema["const"]
    if "examples" in schema:
        return schema["examples"][0]
    value = VALUES_OF.get(owner, {}).get(name, VALUES.get(name))
    if value is not None and value in schema.get("enum", (value,)):
        return value
    if "$ref" in schema:
        component = schema["$ref"].rpartition("/")[2]
        return of(schemas[component], schemas, "", component)
    if "allOf" in schema:
        return of(schema["allOf"][0], schemas, name, owner)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {
            each: of(inner, schemas, each, owner)
            for each, inner in schema.get("properties", {}).items()
        }
    if kind == "array":
        return [of(schema["items"], schemas, "", owner)]
    kind = kind or "string"
    if not isinstance(kind, str):
        kind = kind[0]
    if kind == "string":
        return FORMATS.get(schema.get("format", ""), MISSING)
    return {"integer": max(1, schema.get("minimum", 1)), "number": 1.5, "boolean": True}.get(kind)


def _problem(status: int, path: str) -> dict[str, Any]:
    own = PROBLEMS_AT.get((f"{path.rstrip('/')}/", status))
    code, detail, more = own or PROBLEMS[status]
    return {
        "type": f"{settings.problem_types()}{code}",
        "title": problems.title(code),
        "status": status,
        "detail": detail,
        # Equal examples make equal responses, which the document has once.
        "instance": _concrete(path if own else PROBLEMS_INSTANCE),
        "code": code,
        "errors": [],
        **{name: VALUES[name] for name in ("correlation_id", "request_id", "trace_id")},
        **more,
    }


def _concrete(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda name: str(VALUES[name[1]]), path)
