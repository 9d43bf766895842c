"""An example of all that the API describes, made from its schema and a few words: the life of one
order of tea."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from config import problems
from config.api.example_values import FORMATS, PROBLEMS, PROBLEMS_AT, UNSAID, WORDS, WORDS_OF

Schema = Mapping[str, Any]


def add(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    schemas = result["components"]["schemas"]
    for path, operations in result["paths"].items():
        for operation in operations.values():
            for name, side, said in _named(operation):
                said["example"] = of(said["schema"], schemas, name, side)
            for status, content in _contents(operation):
                body = of(content["schema"], schemas, "", operation["operationId"])
                content["example"] = (
                    _problem(status, path) if status else _with_its_next(body, path)
                )
    return result


def of(schema: Schema, schemas: Schema, name: str = "", owner: str = "") -> Any:
    """name: of the member that it is. owner: of the schema whose member it is, by its name among
    the schemas."""
    if "const" in schema:
        return schema["const"]
    word = WORDS_OF.get(owner, {}).get(name, WORDS.get(name))
    if word is not None and word in schema.get("enum", (word,)):
        return word
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
    return _simple(schema)


def _simple(schema: Schema) -> Any:
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "string":
        return FORMATS.get(schema.get("format", ""), UNSAID)
    return {"integer": max(1, schema.get("minimum", 1)), "number": 1.5, "boolean": True}.get(kind)


def _named(operation: Schema) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each parameter and each header of an answer by its name, with the side of the API it belongs
    to."""
    side = operation["tags"][0]
    for parameter in operation.get("parameters", ()):
        if "examples" not in parameter:
            yield parameter["name"], side, parameter
    for answer in operation["responses"].values():
        for name, header in answer.get("headers", {}).items():
            yield name, side, header


def _contents(operation: Schema) -> Iterator[tuple[int, dict[str, Any]]]:
    """What is asked and answered; with its status what is answered as a problem, else with 0."""
    for status, said in ((0, operation.get("requestBody", {})), *operation["responses"].items()):
        for media_type, content in said.get("content", {}).items():
            yield int(status) if media_type == "application/problem+json" else 0, content


def _with_its_next(body: Any, path: str) -> Any:
    """A page leads to the next one of its own list."""
    if isinstance(body, dict) and body.get("next") == UNSAID:
        return body | {"next": f"{_address(path)}?limit=50&cursor={quote(WORDS['cursor'])}"}
    return body


def _problem(status: int, path: str) -> dict[str, Any]:
    code, detail, more = PROBLEMS_AT.get((path, status), PROBLEMS[status])
    return {
        "type": f"urn:problem-type:orders:{code}",
        "title": problems.title(code),
        "status": status,
        "detail": detail,
        "instance": _address(path),
        "code": code,
        "errors": [],
        **{name: WORDS[name] for name in ("correlation_id", "request_id", "trace_id")},
        **more,
    }


def _address(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda name: str(WORDS[name[1]]), path)
