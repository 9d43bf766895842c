"""Who may read, register and administer, and how they log in."""

import base64

import httpx
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from access.authorization import (
    ADMIN,
    CUSTOMER,
    FINANCE,
    OPERATIONS,
    SCHEMA_ADMIN,
    SCHEMA_READER,
    SCHEMA_WRITER,
    SUPPORT,
)
from eventstore.api import schema_registry

from .conftest import ONE, PATIENCE, V1, answered, refused

ASK = httpx.Client(timeout=PATIENCE)
READ, REGISTER, ADMINISTER = "read", "register", "administer"
MAY = {
    None: (),
    CUSTOMER: (),
    SUPPORT: (READ,),
    OPERATIONS: (READ,),
    FINANCE: (READ,),
    SCHEMA_READER: (READ,),
    SCHEMA_WRITER: (READ, REGISTER),
    SCHEMA_ADMIN: (READ, REGISTER, ADMINISTER),
    ADMIN: (READ, REGISTER, ADMINISTER),
}
SCHEMA = {"schema": ONE.schema_str}
# (method, path, body) of each route and method that changes something; all others read.
CHANGES = {
    ("POST", "/subjects/a/versions"): (REGISTER, SCHEMA),
    ("DELETE", "/subjects/a"): (ADMINISTER, None),
    ("DELETE", "/subjects/a/versions/1"): (ADMINISTER, None),
    ("PUT", "/config"): (ADMINISTER, {"compatibility": "NONE"}),
    ("PUT", "/config/a"): (ADMINISTER, {"compatibility": "NONE"}),
    ("DELETE", "/config"): (ADMINISTER, None),
    ("DELETE", "/config/a"): (ADMINISTER, None),
    ("PUT", "/mode"): (ADMINISTER, {"mode": "READWRITE"}),
    ("PUT", "/mode/a"): (ADMINISTER, {"mode": "READWRITE"}),
    ("DELETE", "/mode"): (ADMINISTER, None),
    ("DELETE", "/mode/a"): (ADMINISTER, None),
}
QUESTIONS = {
    ("POST", "/subjects/a"): SCHEMA,
    ("POST", "/compatibility/subjects/a/versions"): SCHEMA,
    ("POST", "/compatibility/subjects/a/versions/1"): SCHEMA,
}
VALUES = {
    "<path:subject>": "a",
    "<str:number>": "1",
    "<int:id_>": "1",
    "<uuid:guid>": "00000000-0000-0000-0000-000000000001",
    "<path:rest>": "nothing",
}


def requests():
    """(method, path, right, body) of every route and method."""
    for route, view in schema_registry.VIEWS:
        path = route
        for part, value in VALUES.items():
            path = path.replace(part, value)
        for method in ("GET", "POST", "PUT", "DELETE"):
            if hasattr(view, method.lower()):
                key = (method, f"/{path}")
                right, body = CHANGES.get(key, (READ, QUESTIONS.get(key)))
                yield method, f"/{path}", right, body


def test_every_change_is_in_the_table():
    assert {(method, path) for method, path, *_ in requests()} > set(CHANGES) | set(QUESTIONS)


@pytest.mark.parametrize("group", MAY, ids=str)
def test_everybody_may_what_the_table_says(address, token, group):
    bearer = token("ada", *([group] if group else []))
    headers = {"Authorization": f"Bearer {bearer}"}
    with httpx.Client(base_url=address, headers=headers, timeout=PATIENCE) as client:
        for method, path, right, body in requests():
            answer = client.request(method, path, json=body)
            assert (answer.status_code == 403) == (right not in MAY[group]), (method, path)
            if answer.status_code == 403:
                assert answered(answer) == (403, 40301)


def test_without_an_account_nothing_is_answered(address):
    for method, path, _, body in requests():
        answer = ASK.request(method, address + path, json=body)
        assert answered(answer) == (401, 401), (method, path)
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="schema registry"'


def test_a_superuser_may_everything(address, account):
    user = account("root")
    user.is_superuser = True
    user.save()
    auth = ("root", "root-password")
    assert ASK.put(f"{address}/config", json={"compatibility": "NONE"}, auth=auth).is_success


@pytest.fixture
def ada(account):
    return account("ada", SCHEMA_ADMIN)


def test_the_stock_client_with_a_password(address, ada):
    info = {"basic.auth.user.info": "ada:ada-password"}
    with SchemaRegistryClient({"url": address, **info}) as client:
        assert client.register_schema("a", ONE) == 1
    url = address.replace("http://", "http://ada:ada-password@")
    with SchemaRegistryClient({"url": url}) as client:
        assert client.get_subjects() == ["a"]


def test_the_stock_client_with_a_wrong_password_or_token(address, ada):
    bearer = {
        "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": "wrong",
        "bearer.auth.logical.cluster": "none",
    }
    for options in ({"basic.auth.user.info": "ada:wrong"}, bearer):
        with SchemaRegistryClient({"url": address, "max.retries": 0, **options}) as client:
            assert refused(client.get_subjects) == (401, 401)


def test_wrong_passwords_are_counted_as_at_a_login(address, ada):
    def ask(password):
        return ASK.get(f"{address}/subjects", auth=("ada", password))

    assert [ask("wrong").status_code for _ in range(20)] == [401] * 20
    exceeded = ask("wrong")
    assert answered(exceeded) == (429, 429)
    assert float(exceeded.headers["Retry-After"]) > 0
    assert ask("ada-password").status_code == 429
    login = ASK.post(
        address.replace("registry", "auth/login/"),
        json={"username": "ada", "password": "ada-password"},
    )
    assert login.status_code == 429


def test_a_right_password_is_checked_once(address, ada):
    with httpx.Client(auth=("ada", "ada-password"), timeout=PATIENCE) as client:
        assert {client.get(f"{address}/subjects").status_code for _ in range(40)} == {200}


def test_a_changed_password_counts_at_once(address, ada):
    auth = ("ada", "ada-password")
    assert ASK.get(f"{address}/subjects", auth=auth).status_code == 200
    ada.set_password("another")
    ada.save()
    assert ASK.get(f"{address}/subjects", auth=auth).status_code == 401
    assert ASK.get(f"{address}/subjects", auth=("ada", "another")).status_code == 200


def test_an_account_that_is_not_active_is_refused(address, ada):
    auth = ("ada", "ada-password")
    assert ASK.get(f"{address}/subjects", auth=auth).status_code == 200
    ada.is_active = False
    ada.save()
    assert ASK.get(f"{address}/subjects", auth=auth).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic a b",
        "Basic !!!",
        "Basic " + base64.b64encode(b"ada").decode(),
        "Basic " + base64.b64encode(b"ada\0:x").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic " + base64.b64encode(b"a" * 200 + b":x").decode(),
        "Basic " + base64.b64encode(b"ada:" + b"a" * 5000).decode(),
        "Bearer",
        "Bearer a b",
        "Digest x",
    ],
)
def test_odd_credentials(address, ada, header):
    answer = ASK.get(f"{address}/subjects", headers={"Authorization": header})
    assert answered(answer) == (401, 401)


def test_denials_are_in_the_audit_log(address, token, caplog):
    bearer = {"Authorization": f"Bearer {token('eve')}", "Accept": V1}
    ASK.get(f"{address}/subjects", headers=bearer)
    assert "denied GET '/api/registry/subjects' to 'eve'" in caplog.text
