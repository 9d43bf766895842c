"""The `webhooks` section of the OpenAPI document is true."""

import json

import pytest
from jsonschema import Draft202012Validator

from eventstore.models import WebhookMessage
from eventstore.testing import drain

pytestmark = pytest.mark.usefixtures("shop", "idle")


@pytest.fixture
def described(anonymous):
    return anonymous.get("/api/openapi.json").json()


def schema_of(described, type_):
    content = described["webhooks"][type_]["post"]["requestBody"]["content"]["application/json"]
    return content["schema"] | {"components": described["components"]}, content["example"]


def test_each_example_fits_its_schema(described):
    assert len(described["webhooks"]) >= 10
    for type_ in described["webhooks"]:
        schema, example = schema_of(described, type_)
        errors = [each.message for each in Draft202012Validator(schema).iter_errors(example)]
        assert errors == [], type_
        assert "…" not in json.dumps(example, ensure_ascii=False), type_


def test_what_is_sent_fits_what_is_described(described, ada, operator, endpoint, customer):
    endpoint("http://127.0.0.1:9/", customer("operator"), is_for_all=True)
    ada.placed()
    drain()
    messages = list(WebhookMessage.objects.all())
    assert {"orders.order_details", "inventory.stock_level_changed"} <= {m.type for m in messages}
    for message in messages:
        schema, _ = schema_of(described, message.type)
        Draft202012Validator(schema).validate(json.loads(message.body))


def resolved(described, part):
    """The component that a reference names."""
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    return described["components"][kind][name]


def test_each_names_the_headers_of_the_standard(described):
    for type_, item in described["webhooks"].items():
        found = [resolved(described, each) for each in item["post"]["parameters"]]
        names = {each["name"] for each in found if each["required"]}
        assert names == {"webhook-id", "webhook-timestamp", "webhook-signature"}, type_
