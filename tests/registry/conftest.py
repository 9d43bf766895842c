"""The registry behind a real HTTP server, and stock clients of it."""

import json

import httpx
import pytest
import redis
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from django.contrib.auth.models import Group, User
from knox.models import AuthToken

from access import admission, schema_registry
from access.authorization import SCHEMA_ADMIN
from eventstore.postgres import execute
from eventstore.testing import unguarded

# Seconds: a busy machine must not fail a test.
PATIENCE = 60.0
V1 = "application/vnd.schemaregistry.v1+json"


def record(*fields, name="Sold", namespace="shop", **more):
    """An Avro record. fields: (name, type) or (name, type, default)."""
    described = [
        {"name": field[0], "type": field[1]} | ({"default": field[2]} if len(field) > 2 else {})
        for field in fields
    ]
    return {"type": "record", "name": name, "namespace": namespace, "fields": described} | more


def avro(*fields, references=(), **more):
    return Schema(json.dumps(record(*fields, **more)), "AVRO", list(references))


def object_of(properties, *, required=(), **more):
    """A JSON Schema."""
    return {"type": "object", "properties": properties, "required": list(required)} | more


def json_schema(properties, *, references=(), **more):
    return Schema(json.dumps(object_of(properties, **more)), "JSON", list(references))


SKU = ("sku", "string")
ONE = avro(SKU)
TWO = avro(SKU, ("note", "string", ""))
# Neither reads the other.
OTHER = avro(("sku", "int"))
REFERENCE = SchemaReference


@pytest.fixture(autouse=True)
def _no_requests_counted(monkeypatch, settings):
    monkeypatch.setattr(admission, "COUNTER", admission.RequestCounter(settings.REDIS_URL))
    monkeypatch.setattr(schema_registry, "VERIFIED", schema_registry.VerifiedCredentials())
    counted = redis.Redis.from_url(settings.REDIS_URL)
    for key in counted.scan_iter("throttle_*"):
        counted.delete(key)


@pytest.fixture
def empty_registry(transactional_db):
    """Without the schemas that the migration of the test database has registered."""
    with unguarded():
        execute("SET CONSTRAINTS ALL IMMEDIATE").close()
        for table in ("subject_version", "subject_setting", "schema_reference", "schema"):
            execute(f"DELETE FROM eventstore_{table}").close()


@pytest.fixture
def address(empty_registry, live_server):
    return f"{live_server.url}/api/registry"


@pytest.fixture
def account():
    """account(name, group) creates one; its password is made of its name."""

    def create(name, *groups):
        user = User.objects.create_user(name, password=f"{name}-password")
        for group in groups:
            user.groups.add(Group.objects.get_or_create(name=group)[0])
        return user

    return create


@pytest.fixture
def token(account):
    """token(name, group) is that of a new account."""
    return lambda name, *groups: AuthToken.objects.create(account(name, *groups))[1]


@pytest.fixture
def stock(address, token):
    """stock(name, group) is the stock client of a new account, with its token."""
    opened = []

    def connect(name="ada", *groups, **options):
        bearer = {
            "bearer.auth.credentials.source": "STATIC_TOKEN",
            "bearer.auth.token": token(name, *(groups or (SCHEMA_ADMIN,))),
            "bearer.auth.logical.cluster": "none",
        }
        opened.append(SchemaRegistryClient({"url": address, "max.retries": 0} | bearer | options))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def client(stock):
    return stock()


@pytest.fixture
def http(address, token):
    """Any request, as an administrator of the registry."""
    headers = {"Authorization": f"Bearer {token('http', SCHEMA_ADMIN)}", "Content-Type": V1}
    with httpx.Client(base_url=address, headers=headers, timeout=PATIENCE) as client:
        yield client


def refused(call, *arguments, **options):
    """(HTTP status, error code) that the stock client reports."""
    with pytest.raises(SchemaRegistryError) as error:
        call(*arguments, **options)
    return error.value.http_status_code, error.value.error_code


def answered(response):
    """(HTTP status, error code) of a response that is an error as clients know them."""
    assert response.headers["Content-Type"] == V1, response.text
    body = response.json()
    assert set(body) == {"error_code", "message"}
    assert body["message"]
    return response.status_code, body["error_code"]
