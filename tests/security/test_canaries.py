"""Secrets are put into every input, and searched for wherever data is stored or printed."""

import json
import logging

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from redis import Redis

from eventstore.testing import drain
from tests.api.conftest import ADDRESS, Api
from tests.api.test_permissions import BODIES

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "canary-password-8c1f"
CARD = "4242424242424242"
EMAIL = "canary@secret.example"
SECRETS = (PASSWORD, CARD, EMAIL)


@pytest.fixture
def logged(caplog):
    """All log records, down to DEBUG."""
    caplog.set_level(logging.DEBUG)
    # Django's log of SQL statements has the password's hash, never the password.
    return lambda: "\n".join(
        f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records
    )


@pytest.fixture
def ada():
    user = User.objects.create_user("ada", email=EMAIL, password=PASSWORD)
    return Api(user)


def test_what_a_client_sends_in_the_wrong_place_is_kept_nowhere_and_told_nobody(ada, logged):
    token = ada.headers["Authorization"].removeprefix("Bearer ")
    answers = [
        Api().post(
            "/api/auth/login/", {"username": "ada", "password": PASSWORD + "x", "card": CARD}
        )
    ]
    answers.append(
        Api().post("/api/auth/login/", {"username": "ada", "password": {"is": PASSWORD}})
    )
    for path, body in BODIES.items():
        address = "/" + path.replace("<order_id>", "none").replace("<sku>", "CUP").replace(
            "<return_id>", "none"
        )
        for wrong in ({**body, "card": CARD, "password": PASSWORD, "email": EMAIL}, [CARD], CARD):
            answers.append(ada.post(address, wrong))
        answers.append(ada.post(address, json.dumps([PASSWORD]).encode()[:-1]))
        answers.append(ada.get(f"{address}?token={token}&card={CARD}"))
    answers.append(
        ada.post("/api/commands/orders/", {"items": [], "address": ADDRESS, "payment_method": CARD})
    )
    drain()
    everything = "\n".join(
        [logged(), *(answer.content.decode() for answer in answers), kept_in_tables(), in_broker()]
    )
    assert [secret for secret in (*SECRETS, token) if secret in everything] == []


def test_a_cards_number_is_not_taken_for_what_the_gateway_calls_the_card(ada, logged):
    for number in (CARD, "4242 4242 4242 4242", "4242-4242-4242-4242"):
        body = {
            "items": [{"sku": "CUP", "quantity": 1}],
            "address": ADDRESS,
            "payment_method": number,
        }
        answer = ada.post("/api/commands/orders/", body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == "#/payment_method"
        assert number not in kept_in_tables() + logged() + answer.content.decode()


def test_a_login_leaves_no_trace_of_password_or_token(ada, logged):
    answer = Api().post("/api/auth/login/", {"username": "ada", "password": PASSWORD})
    token = answer.json()["token"]
    assert ada.get("/api/queries/orders/", Authorization=f"Bearer {token}").status_code == 200
    everything = "\n".join([logged(), kept_in_tables(), in_broker()])
    assert [secret for secret in (PASSWORD, token) if secret in everything] == []


def test_the_search_would_find_what_is_there(ada):
    assert "ada" in kept_in_tables(but=())


def kept_in_tables(but=("auth_user",)):
    """Every row of every table as text. The user's own row may hold the e-mail."""
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor)) - set(but)
        rows = []
        for table in sorted(tables):
            cursor.execute(f'SELECT kept::text FROM "{table}" AS kept')
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def in_broker():
    with Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        found = [broker.dump(key) or b"" for key in broker.scan_iter()]
    return b"\n".join(found).decode("latin-1")
