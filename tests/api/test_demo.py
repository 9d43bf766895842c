"""manage.py demo: what it prints can be pasted, and twice is as once."""

import json
import re
import shlex
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from knox.models import AuthToken

from eventstore.models import Event
from eventstore.testing import drain
from orders.accounts import names
from orders.management.commands.demo import PASSWORD

from .conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def demo(**options):
    out = StringIO()
    call_command("demo", stdout=out, **options)
    return out.getvalue()


def pasted(line):
    """The parts of a printed curl line: address, Authorization and body."""
    words = shlex.split(line.removeprefix("LOCATION=$("))
    address = next(word for word in words if word.startswith("http"))
    bearer = next(word for word in words if word.startswith("Authorization: ")).removeprefix("Authorization: ")
    return address, bearer, json.loads(words[words.index("-d") + 1]) if "-d" in words else None


def test_the_printed_lines_place_an_order_and_show_it():
    said = demo(url="http://shop.example:81/")
    place, ask = (line for line in said.splitlines() if "curl" in line)
    address, bearer, body = pasted(place)
    assert address == "http://shop.example:81/api/commands/orders/"
    answer = Api().post("/api/commands/orders/", body, Authorization=bearer)
    assert answer.status_code == 202
    drain()
    assert pasted(ask)[:2] == ("http://shop.example:81$LOCATION", bearer)
    order = Api().get(answer["Location"], Authorization=bearer).json()
    assert (names([order["customer_id"]]), order["status"]) == ({order["customer_id"]: "ada"}, "CONFIRMED")


def test_everybody_can_log_in_as_printed():
    said = demo()
    assert PASSWORD in said
    for name in ("ada", "grace", "linus", "operator", "support", "admin"):
        answer = Api().post("/api/auth/login/", {"username": name, "password": PASSWORD})
        assert answer.status_code == 200, name
    assert User.objects.get(username="admin").is_superuser
    assert Api(User.objects.get(username="operator")).post("/api/commands/products/CUP-STONEWARE/delist/")


def test_a_second_run_changes_nothing_that_the_first_one_made():
    demo()
    before = Event.objects.count(), User.objects.count()
    assert before == (40, 6)
    assert "(0 steps were new)" in demo()
    assert (Event.objects.count(), User.objects.count()) == before
    assert AuthToken.objects.count() == 1


def test_a_price_changed_since_stays_changed():
    demo()
    operator = Api(User.objects.get(username="operator"))
    operator.post("/api/commands/products/CUP-STONEWARE/reprice/", {"price": {"amount": 1, "currency": "EUR"}})
    demo()
    drain()
    assert operator.get("/api/queries/products/CUP-STONEWARE/").json()["price"]["amount"] == 1


def test_where_people_have_accounts_nobody_gets_a_public_password():
    User.objects.create(username="boss", is_superuser=True)
    with pytest.raises(CommandError, match="--anyway"):
        demo()
    assert not User.objects.filter(username="admin").exists()
    assert re.search("20 products", demo(anyway=True))
