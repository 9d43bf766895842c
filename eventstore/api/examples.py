"""An example for every body in the OpenAPI document, made from its schema and a few words that fit."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

WORDS: Mapping[str, Any] = {
    "sku": "TEA-EARL-GREY",
    "name": "Ada Lovelace",
    "street": "12 St James's Square",
    "city": "London",
    "postcode": "SW1Y 4JH",
    "country": "GB",
    "currency": "EUR",
    "exponent": 2,
    "amount": 1780,
    "quantity": 2,
    "payment_method": "tok_visa",
    "reason": "changed my mind",
    "username": "ada",
    "password": "…",
    "order_id": "0198c0de-0000-7000-8000-000000000001",
    "customer_id": "ada",
    "version": 1,
    "position": 118,
    "status": "PROCESSING",
    "token": "3f9c…",
}


def add(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    schemas = result["components"]["schemas"]
    for path in result["paths"].values():
        for operation in path.values():
            for status, said in (("", operation.get("requestBody", {})), *operation["responses"].items()):
                for media_type, content in said.get("content", {}).items():
                    problem = media_type == "application/problem+json"
                    content["example"] = _problem(int(status)) if problem else _example(content["schema"], schemas)
    return result


def _problem(status: int) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    code = title.title().replace(" ", "")
    return {
        "type": f"urn:problem-type:orders:{code}",
        "title": title,
        "status": status,
        "detail": f"{title}.",
        "instance": "/api/commands/orders/",
        "code": code,
        "errors": [],
        "correlation_id": FORMATS["uuid"],
    }


def _example(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if "allOf" in schema:
        return _example(schema["allOf"][0], schemas, name)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {each: _example(inner, schemas, each) for each, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [_example(schema["items"], schemas, name)]
    return WORDS.get(name, _simple(schema))


def _simple(schema: Mapping[str, Any]) -> Any:
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "string":
        return FORMATS.get(schema.get("format", ""), "text")
    return {"integer": max(1, schema.get("minimum", 1)), "number": 1.5, "boolean": True}.get(kind)


FORMATS = {
    "date-time": "2026-01-31T12:00:00.000001Z",
    "uuid": "0198c0de-0000-7000-8000-000000000001",
    "uri": "https://shop.example/",
}
