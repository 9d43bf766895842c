"""Every address of the HTTP API, from its OpenAPI document, and every WebSocket, from the AsyncAPI
document."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from drf_spectacular.generators import SchemaGenerator

from config.api import asyncapi

from .source import code, heading, table

INTRODUCTION = (
    "From `/api/openapi.json`, which has every member, header and example as well;"
    " [the HTTP API](../guide/api.md) has the rules that hold for all of them. Members of a body"
    " and filters that are required are in bold. Every other response is a"
    " [problem](problems.md)."
)
SOCKETS = "From `/api/asyncapi.json`; see [following](../guide/follow.md)."
METHODS = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """takes: names of the members of the body, and of the filters."""

    side: str
    address: str
    name: str
    about: str
    takes: str
    answers: str


def page() -> str:
    found = list(_operations())
    parts = [heading("Addresses of the API", INTRODUCTION)]
    columns = ("address", "operation", "body, filters", "answer", "remarks")
    for side in dict.fromkeys(each.side for each in found):
        rows = (
            (code(each.address), each.name, each.takes, each.answers, each.about)
            for each in found
            if each.side == side
        )
        parts.append(f"## {side.capitalize()}\n\n{table(columns, rows)}")
    channels = asyncapi.document()["channels"].values()
    rows_ = (
        (code(each["address"]), each["description"] or "")
        for each in channels
        if "ws" in each.get("bindings", {})
    )
    parts.append(f"## WebSockets\n\n{SOCKETS}\n\n{table(('address', 'what it sends'), rows_)}")
    return "\n".join(parts)


def _operations() -> Iterator[Operation]:
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    for path, methods in document["paths"].items():
        for method in METHODS:
            if operation := methods.get(method):
                yield Operation(
                    operation["tags"][0],
                    f"{method.upper()} {path}",
                    operation["operationId"],
                    f"{operation['summary']}. {operation.get('description', '')}".strip(),
                    _names(_takes(operation, document)),
                    ", ".join(each for each in sorted(operation["responses"]) if each < "400"),
                )


def _takes(operation: Any, document: Any) -> Iterator[tuple[str, bool]]:
    """Name and whether it is required."""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        shape = _resolved(media.get("schema", {}), document)
        for name in shape.get("properties", {}):
            yield name, name in shape.get("required", ())
        break
    for each in (_resolved(each, document) for each in operation.get("parameters", ())):
        if each["in"] == "query":
            yield each["name"], each.get("required", False)


def _resolved(shape: Mapping[str, Any], document: Any) -> Mapping[str, Any]:
    _, _, kind, name = shape.get("$ref", "///").split("/")
    return document["components"][kind][name] if name else shape


def _names(takes: Iterator[tuple[str, bool]]) -> str:
    return ", ".join(f"**{code(name)}**" if required else code(name) for name, required in takes)
