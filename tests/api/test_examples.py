"""Every example in the OpenAPI document can be sent, and the response is as described."""

import json
import re

import pytest
from django.utils import timezone
from jsonschema import Draft202012Validator

from config.api import example_values
from eventstore.commands import bus
from eventstore.models import WebhookDelivery
from eventstore.testing import drain
from orders.commands import IssueCredit
from orders.events import Charge, OrderLine

from .conftest import ADDRESS, HOOK
from .test_openapi import examples_of, inlined, operations

# These fail here: no account has the example's password, and no webhook has a secret.
REFUSED = {
    "POST api/auth/login": 401,
    "POST api/webhooks/payments/stripe": 503,
    "POST api/webhooks/shipping": 503,
}
KEY = {"Idempotency-Key": "once"}
SAME = ("type", "title", "status", "code")
LAST = ("ship", "deliver", "refund", "delist", "delete", "logout")


@pytest.fixture
def described(anonymous):
    document = anonymous.get("/api/openapi.json").json()
    return document | {"paths": inlined(document["paths"], document["components"])}


@pytest.fixture
def root(person):
    return person("root", is_superuser=True)


@pytest.fixture
def real(shop, root):
    """A value in the examples -> the value that replaces it in the test's shop."""
    hook = root.post("/api/commands/webhooks/", HOOK).json()["endpoint_id"]
    order_id = root.placed({"sku": "CUP", "quantity": 6})
    left = root.post("/api/commands/products/CUP/delist/", Prefer="respond-async").json()[
        "command_id"
    ]
    bus.dispatch(credit("C1"))
    drain()
    root.post(
        "/api/commands/products/",
        {"sku": "CUP", "name": "A cup", "price": {"amount": 1999, "currency": "EUR"}},
    )
    drain()
    return {
        example_values.ORDER: order_id,
        example_values.RETURN: returned(root, order_id),
        example_values.TAG: left,
        example_values.ENDPOINT: hook,
        example_values.HOOK: HOOK["url"],
        "4711": str(WebhookDelivery.objects.first().pk),
        "TEA-EARL-GREY": "CUP",
        "C541433": "C1",
        "890": "1999",
        "118": "1",
        "wait=2": "wait=0",
    }


def test_each_is_taken_and_answered_as_described(described, real, root):
    others = {
        "POST api/commands/returns/{return_id}/close": {
            example_values.RETURN: returned(root, real[example_values.ORDER])
        },
        "POST api/commands/orders/{order_id}/cancel": {example_values.ORDER: root.placed()},
    }
    answered = {}
    for name, operation in sorted(operations(described).items(), key=in_turn):
        answer = send(root, name, operation, real | others.get(name, {}))
        answered[name] = answer.status_code
        assert faults(answer, operation, described) == [], f"{name}: {answer.content}"
        if name.endswith(LAST):
            drain()
    assert {name: status for name, status in answered.items() if status >= 300} == REFUSED


def test_each_is_answered_as_described_with_its_headers_too(described, real, root):
    for name, operation in sorted(operations(described).items(), key=in_turn):
        parameters = [each for each in operation.get("parameters", ()) if each["in"] == "header"]
        headers = {each["name"]: examples_of(each)[0] for each in parameters}
        answer = send(root, name, operation, real, **headers)
        assert faults(answer, operation, described) == [], f"{name}: {answer.content}"


@pytest.mark.parametrize(
    "body", [{"status": "PLACED"}, {"order_id": "o-1", "status": "PROCESSING", "more": 1}]
)
def test_what_is_answered_otherwise_is_found(described, body):
    operation = operations(described)["POST api/commands/orders"]
    assert faults_of(body, operation["responses"]["202"]["content"]["application/json"], described)


def test_the_problems_are_as_the_shop_tells_them(described, shop, ada, anonymous):
    order_id = ada.placed()
    drain()
    place, cancel = "/api/commands/orders/", f"/api/commands/orders/{order_id}/cancel/"
    body = {
        "items": [{"sku": "CUP", "quantity": 1}],
        "address": ADDRESS,
        "payment_method": "tok_visa",
    }
    ada.post(place, body, **KEY)
    responses = {
        "GET api/queries/orders": [anonymous.get("/api/queries/orders/")],
        "GET api/queries/bookings": [ada.get("/api/queries/bookings/")],
        "GET api/queries/orders/{order_id}": [
            ada.get("/api/queries/orders/nobodys/"),
            ada.get("/api/queries/orders/nobodys/", Accept="text/html"),
        ],
        "POST api/auth/login": [
            anonymous.post("/api/auth/login/", {"username": "ada", "password": "?"})
        ],
        "POST api/webhooks/shipping": [anonymous.post("/api/webhooks/shipping/", {})],
        "POST api/commands/orders": [
            ada.post(place, {"items": []}),
            ada.post(place, b"{}", content_type="text/plain"),
            ada.post(place, b" " * 3_000_000),
            ada.post(place, {"items": []}, **KEY, **{"Transfer-Encoding": "chunked"}),
            ada.post(place, body | {"payment_method": "tok_late"}, **KEY),
            ada.place({"sku": "CUP", "quantity": 2, "seen": {"amount": 1, "currency": "EUR"}}),
        ],
        "POST api/commands/orders/{order_id}/cancel": [
            ada.post(cancel, {}),
            ada.post(cancel, {}, **{"If-Match": '"1"'}),
        ],
    }
    seen = set()
    for name, answers in responses.items():
        for answer in answers:
            content = operations(described)[name]["responses"][str(answer.status_code)]["content"]
            example, body = content["application/problem+json"]["example"], answer.json()
            assert set(example) == set(body)
            assert {each: example[each] for each in SAME} == {each: body[each] for each in SAME}
            assert example["detail"] == body["detail"] or answer.status_code in (409, 412)
            seen.add(answer.status_code)
    assert seen == {400, 401, 403, 404, 406, 409, 411, 412, 413, 415, 422, 503}


def in_turn(described):
    """Queries first; requests that delete what the others need last."""
    name, _ = described
    return (
        name.startswith("POST"),
        [turn for turn, end in enumerate(LAST) if name.endswith(end)],
        name,
    )


def send(api, name, operation, real, **headers):
    method, _, path = name.partition(" ")
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    contents = operation.get("requestBody", {}).get("content", {})
    # JSON; of bulk commands, one line of it.
    kind = next(iter(contents), "application/json")
    body = json.dumps(contents.get(kind, {}).get("example"))
    path, body = meant(path, real), meant(body, real)
    headers = {header: meant(value, real) for header, value in headers.items()}
    return (
        api.get(f"/{path}", **headers)
        if method == "GET"
        else api.post(f"/{path}", json.loads(body), content_type=kind, **headers)
    )


def meant(text, real):
    """All in one pass: an id that contains "118" must not be taken for the example's number."""
    return re.sub("|".join(map(re.escape, real)), lambda found: real[found[0]], text)


def faults(answer, operation, described):
    found = operation["responses"].get(str(answer.status_code))
    if found is None:
        return [f"{answer.status_code} is not described"]
    if "content" not in found:
        return [] if answer.content == b"" else ["a body is not described"]
    return faults_of(
        answer.json(), found["content"][answer["Content-Type"].partition(";")[0]], described
    )


def faults_of(body, content, described):
    schema = content["schema"] | {"components": described["components"]}
    wrong = [error.message for error in Draft202012Validator(schema).iter_errors(body)]
    return wrong + [
        f"{member} is not in the example" for member in unknown(body, content["example"])
    ]


def unknown(body, example):
    """Members that the example lacks. The data of an event is described by its type."""
    if isinstance(body, dict) and isinstance(example, dict):
        known = {name: each for name, each in body.items() if name in example}
        inner = [
            unknown(each, example[name])
            for name, each in known.items()
            if name != "data" or isinstance(each, list)
        ]
        return [*(set(body) - set(known)), *sum(inner, [])]
    if isinstance(body, list) and isinstance(example, list) and example:
        return sum((unknown(each, example[0]) for each in body), [])
    return []


def returned(api, order_id):
    body = {"lines": [{"number": 1, "quantity": 2}], "reason": "torn"}
    return_id = api.post(f"/api/commands/orders/{order_id}/returns/", body).json()["return_id"]
    drain()
    return return_id


def credit(booking_id):
    lines, charges = (OrderLine("CUP", "A cup", 1, 1999),), (Charge("POST", "Postage", 1, 350),)
    return IssueCredit(booking_id, "", lines, charges, "EUR", 2, "", timezone.now())
