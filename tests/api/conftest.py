"""A small shop, and an API client for each of its people."""

import json

import pytest
import redis
from django.contrib.auth.models import Group, User
from django.test import Client
from knox.models import AuthToken

from access import accounts, admission
from access.authorization import OPERATIONS, SUPPORT
from config.problems import QUOTA_EXCEEDED
from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import ListProduct

ADDRESS = {
    "name": "Ada",
    "street": "Square 1",
    "city": "London",
    "postcode": "SW1Y",
    "country": "GB",
}
IDS = {"correlation_id", "request_id", "trace_id"}
MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors"} | IDS
# Nothing listens there.
HOOK = {"url": "http://127.0.0.1:9/hooks", "types": ["*"]}
NOBODY = "00000000-0000-7000-8000-000000000000"


class Api:
    """One person's client. Unexpected errors become the response that the person would get."""

    def __init__(self, user=None):
        self.headers = (
            {"Authorization": f"Bearer {AuthToken.objects.create(user)[1]}"} if user else {}
        )
        self.customer_id = accounts.customer_id_of(user) if user else ""
        self.client = Client(raise_request_exception=False)

    def get(self, path, **headers):
        return self.client.get(path, headers=self.headers | headers)

    def post(self, path, body=None, *, content_type="application/json", **headers):
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        return self.client.generic("POST", path, data, content_type, headers=self.headers | headers)

    def place(self, *items, **changes):
        items = items or ({"sku": "CUP", "quantity": 1},)
        body = {"items": items, "address": ADDRESS, "payment_method": "tok_visa"} | changes
        return self.post("/api/commands/orders/", body)

    def placed(self, *items, **changes):
        answer = self.place(*items, **changes)
        assert answer.status_code == 202, answer.content
        return answer.json()["order_id"]


def problem(answer, status, code=None):
    """The problem details of a response, after a check of their form."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) in (MEMBERS, MEMBERS | {"current_version"}, MEMBERS | {"violated-policies"})
    assert body["status"] == status
    assert body["type"] == (
        QUOTA_EXCEEDED if status == 429 else f"urn:problem-type:orders:{body['code']}"
    )
    assert body["correlation_id"] == answer["X-Correlation-ID"]
    assert body["request_id"] == answer["X-Request-ID"]
    assert code in (None, body["code"]), body
    return body


def pointers(answer):
    """The names of the invalid parts: each is in the body, in the query or in a header."""
    found = [
        {"pointer", "parameter", "header"} & set(error) for error in problem(answer, 400)["errors"]
    ]
    assert all(len(names) == 1 for names in found)
    return [error[name] for error, [name] in zip(answer.json()["errors"], found, strict=True)]


@pytest.fixture(autouse=True)
def _no_requests_counted(monkeypatch, settings):
    monkeypatch.setattr(admission, "COUNTER", admission.RequestCounter(settings.REDIS_URL))
    counted = redis.Redis.from_url(settings.REDIS_URL)
    for key in counted.scan_iter("throttle_*"):
        counted.delete(key)


@pytest.fixture(autouse=True)
def _webhooks_to_this_machine(settings):
    """Endpoints of webhooks may be here, as on a developer's machine."""
    settings.EVENTSTORE_WEBHOOK_ALLOW_HTTP = True
    settings.EVENTSTORE_WEBHOOK_NETWORKS = ("127.0.0.0/8",)
    settings.EVENTSTORE_WEBHOOK_PORTS = ()


@pytest.fixture
def person(db):
    def make(name, role=None, **rights):
        user = User.objects.create(username=name, **rights)
        if role:
            user.groups.add(Group.objects.get_or_create(name=role)[0])
        return Api(user)

    return make


@pytest.fixture
def anonymous(db):
    return Api()


@pytest.fixture
def ada(person):
    return person("ada")


@pytest.fixture
def grace(person):
    return person("grace")


@pytest.fixture
def operator(person):
    return person("operator", OPERATIONS)


@pytest.fixture
def support(person):
    return person("support", SUPPORT)


@pytest.fixture
def shop(transactional_db):
    """Cups for 19.99 EUR and pots for 69 EUR, ten of each; the read models are up to date."""
    for sku, name, cents in (("CUP", "A cup", 1999), ("POT", "A pot", 6900)):
        bus.dispatch(ListProduct(sku, name, Money(cents, "EUR")))
        bus.dispatch(ReceiveStock(sku, 10))
    drain()
