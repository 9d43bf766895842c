"""manage.py demo: its output can be pasted, and a second run changes nothing."""

import json
import re
import shlex
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from knox.models import AuthToken

from access.accounts import names
from eventstore.models import Event
from eventstore.testing import drain
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
    """The parts of a printed curl line: URL, Authorization header and body."""
    words = shlex.split(line.removeprefix("LOCATION=$("))
    address = next(word for word in words if word.startswith("http"))
    bearer = next(word for word in words if word.startswith("Authorization: ")).removeprefix(
        "Authorization: "
    )
    return address, bearer, json.loads(words[words.index("-d") + 1]) if "-d" in words else None


def test_the_printed_lines_place_an_order_and_show_it():
    output = demo(url="http://shop.example:81/")
    place, ask = (line for line in output.splitlines() if "curl" in line)
    address, bearer, body = pasted(place)
    assert address == "http://shop.example:81/api/commands/orders/"
    answer = Api().post("/api/commands/orders/", body, Authorization=bearer)
    assert answer.status_code == 202
    drain()
    assert pasted(ask)[:2] == ("http://shop.example:81$LOCATION", bearer)
    order = Api().get(answer["Location"], Authorization=bearer).json()
    assert (names([order["customer_id"]]), order["status"]) == (
        {order["customer_id"]: "ada"},
        "CONFIRMED",
    )


def test_everybody_can_log_in_as_printed():
    output = demo()
    assert PASSWORD in output
    for name in ("ada", "grace", "linus", "operator", "support", "admin"):
        answer = Api().post("/api/auth/login/", {"username": name, "password": PASSWORD})
        assert answer.status_code == 200, name
    assert User.objects.get(username="admin").is_superuser
    assert Api(User.objects.get(username="operator")).post(
        "/api/commands/products/CUP-STONEWARE/delist/"
    )


def test_a_second_run_changes_nothing_that_the_first_one_made():
    demo()
    before = Event.objects.count(), User.objects.count()
    assert before == (40, 6)
    assert "(0 new commands)" in demo()
    assert (Event.objects.count(), User.objects.count()) == before
    assert AuthToken.objects.count() == 1


def test_a_price_changed_since_stays_changed():
    demo()
    operator = Api(User.objects.get(username="operator"))
    operator.post(
        "/api/commands/products/CUP-STONEWARE/reprice/", {"price": {"amount": 1, "currency": "EUR"}}
    )
    demo()
    drain()
    assert operator.get("/api/queries/products/CUP-STONEWARE/").json()["price"]["amount"] == 1


def test_where_people_have_accounts_nobody_gets_a_public_password():
    User.objects.create(username="boss", is_superuser=True)
    with pytest.raises(CommandError, match="--anyway"):
        demo()
    assert not User.objects.filter(username="admin").exists()
    assert re.search("20 products", demo(anyway=True))


def test_an_account_with_a_password_of_its_own_is_left_alone_and_the_others_are_printed():
    demo()
    given("linus", "a-word-of-his-own")
    before = User.objects.get(username="linus").password
    output = demo()
    assert "The account linus has its own password; it is left unchanged." in output
    assert "Customers ada, grace;" in output
    assert "Place an order as ada" in output
    assert User.objects.get(username="linus").password == before


def test_who_has_changed_a_password_takes_no_token_for_everybody_to_read():
    demo()
    given("ada", "a-word-of-her-own")
    given("admin", "a-word-of-its-own")
    AuthToken.objects.all().delete()
    output = demo()
    assert "Place an order as grace" in output
    assert "superuser none" in output
    assert [token.user.username for token in AuthToken.objects.all()] == ["grace"]
    assert (
        Api().post("/api/auth/login/", {"username": "ada", "password": PASSWORD}).status_code == 401
    )


def test_where_all_have_changed_theirs_there_is_nothing_to_paste():
    demo()
    for user in User.objects.all():
        given(user.username, "a-word-of-ones-own")
    output = demo()
    assert "curl" not in output
    assert "/api/commands/" in output


def test_a_shop_that_is_none_of_the_demos_gets_no_public_password():
    User.objects.create_superuser("admin", password="a-word-of-its-own")
    with pytest.raises(CommandError, match="The account admin has its own password"):
        demo(anyway=True)
    assert User.objects.count() == 1


def given(name, password):
    user = User.objects.get(username=name)
    user.set_password(password)
    user.save()
