"""An example of all that the API describes, made from its schema and a few words: the life of one order of tea."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from config import problems

Schema = Mapping[str, Any]

# What stands for a text of which nobody has said how it looks; a test finds it.
UNSAID = "…"


def add(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    schemas = result["components"]["schemas"]
    for path, operations in result["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["example"] = of(parameter["schema"], schemas, parameter["name"], parameter["in"])
            for header, name in _headers(operation["responses"]):
                header["example"] = of(header["schema"], schemas, name, "header")
            for status, content in _contents(operation):
                content["example"] = _problem(int(status), path) if status else of(content["schema"], schemas)
    return result


def of(schema: Schema, schemas: Schema, name: str = "", owner: str = "") -> Any:
    """name: of the member that it is. owner: of the schema whose member it is, by its name among the schemas."""
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
        return {each: of(inner, schemas, each, owner) for each, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [of(schema["items"], schemas, "", owner)]
    return _simple(schema)


def _simple(schema: Schema) -> Any:
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "string":
        return FORMATS.get(schema.get("format", ""), UNSAID)
    return {"integer": max(1, schema.get("minimum", 1)), "number": 1.5, "boolean": True}.get(kind)


def _headers(responses: Schema) -> Iterator[tuple[dict[str, Any], str]]:
    for response in responses.values():
        for name, header in response.get("headers", {}).items():
            yield header, name


def _contents(operation: Schema) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is asked and answered; with its status what is answered as a problem."""
    for status, said in (("", operation.get("requestBody", {})), *operation["responses"].items()):
        for media_type, content in said.get("content", {}).items():
            yield status if media_type == "application/problem+json" else "", content


def _problem(status: int, path: str) -> dict[str, Any]:
    code, detail, more = PROBLEMS_AT.get(path, {}).get(status, PROBLEMS[status])
    return {
        "type": f"urn:problem-type:orders:{code}",
        "title": problems.title(code),
        "status": status,
        "detail": detail,
        "instance": re.sub(r"{(\w+)}", lambda part: str(WORDS[part[1]]), path),
        "code": code,
        "errors": [],
        "correlation_id": FORMATS["uuid"],
        **more,
    }


ORDER = "0198c0de-0000-7000-8000-000000000001"
RETURN = "0198c0de-0000-7000-8000-000000000002"
TAG = "0198c0de-0000-7000-8000-000000000003"
NOW = "2026-01-31T12:00:00.000001Z"
PRICE = {"amount": 890, "currency": "EUR", "exponent": 2}
# Two of it, and postage.
PAID = PRICE | {"amount": 2130}
TEA = "Earl Grey, loose, 100 g"

FORMATS = {"date-time": NOW, "uuid": TAG, "uri": "https://shop.example/"}

WORDS: Mapping[str, Any] = {
    # Who and where
    "username": "ada",
    "password": "demo-only",
    "token": "3f9c1e0b…",
    "customer_id": "ada",
    "customer": "ada",
    "name": "Ada Lovelace",
    "street": "12 St James's Square",
    "city": "London",
    "postcode": "SW1Y 4JH",
    "country": "GB",
    # What is called how
    "order_id": ORDER,
    "order": ORDER,
    "return_id": RETURN,
    "refund_id": RETURN,
    "booking_id": "C541433",
    "id_": TAG,
    "sku": "TEA-EARL-GREY",
    "code": "POST",
    "reference": "A-1001",
    "tracking": "SB-0198c0de",
    # What and how much
    "quantity": 2,
    "price": PRICE,
    "seen": PRICE,
    "unit_price": PRICE,
    "total": PAID,
    "refund": PAID,
    "refunded": PAID,
    "currency": "EUR",
    "exponent": 2,
    "payment_method": "tok_visa",
    "method": "tok_visa",
    "reason": "changed my mind",
    # How it stands
    "status": "PROCESSING",
    "version": 2,
    "position": 118,
    "after": 118,
    "caught_up": 131,
    "detail": "Refused, as things stand.",
    # In a request's headers
    "Idempotency-Key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
    "If-Match": '"2"',
    "If-None-Match": '"2.118"',
    "Min-Position": "118",
    "X-Min-Version": "2",
    "X-Correlation-ID": TAG,
    "Prefer": "wait=2",
    "cursor": f"{ORDER}:LgJ0sXbVC3bu1vbYJbPhdFRDZFK3i2WSSAeyTLNEUzs",
}

# By the name of the schema: where a member is called as another one that looks otherwise.
WORDS_OF: Mapping[str, Mapping[str, Any]] = {
    "OrderLine": {"name": TEA, "unit_price": 890},
    "Charge": {"name": "Postage", "quantity": 1, "unit_price": 350},
    "ReturnedLine": {"unit_price": 890},
    "ReturnedCharge": {"quantity": 1, "unit_price": 350},
    "Money": PAID,
    "OrderDetails": {"status": "CONFIRMED"},
}

# By status: the error's code, what it says for people, and what else it has.
Said = tuple[str, str, Mapping[str, Any]]
PROBLEMS: Mapping[int, Said] = {
    400: (
        "ValidationError",
        "Some parts of the request are not valid.",
        {"errors": [{"pointer": "#/reason", "detail": "This field is required.", "code": "required"}]},
    ),
    401: ("NotAuthenticated", "Authentication credentials were not provided.", {}),
    403: ("PermissionDenied", "You do not have permission to perform this action.", {}),
    404: ("NotFound", "Not found.", {}),
    406: ("NotAcceptable", "Could not satisfy the request Accept header.", {}),
    409: ("WrongExpectedVersion", "Others were first, several times over. Try again.", {}),
    411: ("LengthRequired", "Say the body's length (Content-Length); a chunked body is not read.", {}),
    412: ("Stale", "You decided on another version: …", {"current_version": 3}),
    413: ("BodyTooLarge", "The body is too large.", {}),
    415: ("UnsupportedMediaType", 'Unsupported media type "text/plain" in request.', {}),
    422: ("KeyReused", "…", {}),
    429: ("Throttled", "Request was throttled. Expected available in 20 seconds.", {}),
    503: ("DatabaseUnavailable", "Try again in a moment.", {}),
}
PROBLEMS_AT: Mapping[str, Mapping[int, Said]] = {}
