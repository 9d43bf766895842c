"""The `webhooks` section of the OpenAPI document: what endpoints that are registered here
receive."""

from collections.abc import Mapping
from typing import Any

from config.api import examples
from config.api.example_values import NOW, ORDER, TAG, VALUES
from eventstore import registry
from eventstore.schemas import generation
from eventstore.webhooks import endpoints

Schema = dict[str, Any]

HEADERS: Mapping[str, tuple[str, str]] = {
    "webhook-id": ("The same for every attempt. Ignore an id that was handled before.", TAG),
    "webhook-timestamp": ("When this attempt was sent, in seconds since 1970.", "1769860800"),
    "webhook-signature": (
        "A signature for each valid secret, with blanks between (Standard Webhooks).",
        VALUES["webhook-signature"],
    ),
}
RESPONSES: Mapping[str, str] = {
    "2XX": "Received. The body of the response is ignored.",
    "410": "The endpoint is gone: it is disabled at once.",
    "429": "Nothing more is sent until Retry-After has passed, 6 hours at most.",
    "503": "As 429.",
    "default": "The delivery is attempted again for 24 hours. Redirects are not followed.",
}


def add(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    types = endpoints.known_types()
    references, parts = generation.components([registry.published_types()[each] for each in types])
    result["components"]["schemas"] |= {_own(name): _renamed(each) for name, each in parts.items()}
    result["webhooks"] = {
        type_: {"post": _operation(type_, _renamed(reference), examples.of(reference, parts))}
        for type_, reference in zip(types, references, strict=True)
    }
    return result


def _operation(type_: str, data: Schema, data_example: Any) -> Schema:
    body = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "type": {"const": type_},
            "timestamp": {"type": "string", "format": "date-time"},
            "subject": {"type": "string"},
            "sequence": {"type": "integer"},
            "data": data,
        },
        "required": ["id", "type", "timestamp", "subject", "sequence", "data"],
    }
    example = {
        "id": TAG,
        "type": type_,
        "timestamp": NOW,
        "subject": ORDER,
        "sequence": 2000,
        "data": data_example,
    }
    return {
        "operationId": type_,
        "summary": type_,
        "description": " ".join((registry.published_types()[type_].__doc__ or "").split()),
        "tags": ["webhooks"],
        # They are authenticated by their signature.
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "schema": {"type": "string"},
                "description": about,
                "example": value,
            }
            for name, (about, value) in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": example}},
        },
        "responses": {status: {"description": about} for status, about in RESPONSES.items()},
    }


def _own(name: str) -> str:
    """Apart from the serializers, which may have the same names."""
    return f"Webhook{name}"


def _renamed(schema: Any) -> Any:
    match schema:
        case {"$ref": reference}:
            path, _, name = reference.rpartition("/")
            return {"$ref": f"{path}/{_own(name)}"}
        case dict():
            return {name: _renamed(each) for name, each in schema.items()}
        case list():
            return [_renamed(each) for each in schema]
    return schema
