"""Personal data needs the same permission in the API as in the console: for each role, at each
URL."""

import json

import pytest
from django.core.management import call_command

from access.authorization import ADMIN, FINANCE, OPERATIONS, SUPPORT
from eventstore import log
from eventstore.models import OperatorAction
from eventstore.testing import drain
from orders.api import live

from .conftest import pointers, problem

pytestmark = pytest.mark.usefixtures("shop")

PERSON = {
    "name": "Zoe Canary",
    "street": "Canary Row 7",
    "city": "Canarytown",
    "postcode": "CAN 4RY",
    "country": "GB",
}
METHOD = "tok_canary_4711"
SECRETS = (*(value for name, value in PERSON.items() if name != "country"), METHOD)
WHY = {"X-Reveal-Reason": "the parcel came back"}

ROWS = ("orders/{}/", "payments/{}/", "shipments/{}/", "orders/{}/history/")
LISTS = ("orders/", "payments/", "shipments/", "returns/", "bookings/")
STAFF = (SUPPORT, OPERATIONS, FINANCE, ADMIN)


@pytest.fixture
def bought(ada):
    order_id = ada.placed(address=PERSON, payment_method=METHOD)
    drain()
    return order_id


@pytest.fixture
def privacy(person, db):
    """A supporter with the permission to reveal; other staff lack it."""
    call_command("console_roles", "--reveal", SUPPORT)
    return person("helen", SUPPORT)


def query(api, address, **headers):
    return api.get(f"/api/queries/{address}", **headers)


def secrets(answer):
    return {secret for secret in SECRETS if secret in answer.content.decode()}


@pytest.mark.parametrize("role", STAFF)
def test_of_another_staff_sees_nothing_personal_anywhere(person, bought, role):
    api = person(f"of-{role}", role)
    addresses = [*(each.format(bought) for each in ROWS), *LISTS, f"orders/{bought}/?version=1"]
    for address in addresses:
        answer = query(api, address)
        assert (answer.status_code, secrets(answer)) == (200, set()), address
    shown = query(api, f"orders/{bought}/").json()["address"]
    assert shown == dict.fromkeys(PERSON, "•••")


def test_a_superuser_sees_no_more_without_a_reason(person, bought):
    root = person("root", is_superuser=True)
    assert secrets(query(root, f"shipments/{bought}/")) == set()
    assert PERSON["street"] in query(root, f"shipments/{bought}/", **WHY).content.decode()


def test_customers_see_their_own(ada, bought):
    for address in ("orders/{}/", "shipments/{}/", "orders/{}/history/"):
        assert PERSON["street"] in query(ada, address.format(bought)).content.decode(), address
    assert METHOD in query(ada, f"payments/{bought}/").content.decode()
    assert PERSON["street"] in query(ada, "orders/").content.decode()
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("orders/{}/", "order {}"),
        ("payments/{}/", "payment {}"),
        ("shipments/{}/", "shipment {}"),
        ("orders/{}/history/", "order {}"),
    ],
)
def test_who_may_and_says_why_sees_one_and_it_is_written_down(privacy, bought, address, subject):
    path = address.format(bought)
    answer = query(privacy, path, **WHY)
    assert secrets(answer)
    assert answer["Cache-Control"] == "private, no-store"
    (written,) = OperatorAction.objects.all()
    assert (written.who, written.action, written.subject) == (
        "helen",
        "reveal",
        subject.format(bought),
    )
    assert (written.reason, written.details) == (
        WHY["X-Reveal-Reason"],
        {"page": f"/api/queries/{path}"},
    )
    assert secrets(query(privacy, path)) == set(), "the next time it is hidden again"


def test_what_was_seen_hidden_is_no_reason_not_to_send_what_is_revealed(privacy, bought):
    tag = {"If-None-Match": query(privacy, f"orders/{bought}/")["ETag"]}
    assert query(privacy, f"orders/{bought}/", **tag).status_code == 304
    assert query(privacy, f"orders/{bought}/", **tag, **WHY).status_code == 200


def test_nothing_is_revealed_without_the_right_or_a_reason_or_by_the_hundred(
    privacy, operator, grace, bought
):
    problem(query(operator, f"shipments/{bought}/", **WHY), 403)
    problem(query(grace, f"shipments/{bought}/", **WHY), 404)
    for reason in ("", "  ", "x" * 256, "weil es zurückkam"):
        assert pointers(query(privacy, f"shipments/{bought}/", **{"X-Reveal-Reason": reason})) == [
            "X-Reveal-Reason"
        ]
    assert pointers(query(privacy, "shipments/", **WHY)) == ["X-Reveal-Reason"]
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize("path", ["orders/{}/", "orders/{}/history/"])
def test_a_malformed_reason_is_refused_also_where_nothing_is_hidden(ada, bought, path):
    found = pointers(query(ada, path.format(bought), **{"X-Reveal-Reason": ""}))
    assert found == ["X-Reveal-Reason"]


def test_a_socket_tells_its_owner_all_and_others_what_is_not_personal(bought):
    messages = list(log.read_stream(f"order-{bought}")) + list(
        log.read_stream(f"shipment-{bought}")
    )
    by_topic = {}
    for each in live.items(messages):
        for topic in each.topics:
            by_topic.setdefault(topic.partition(" ")[0], []).append(json.loads(each.text))
    assert [len(each) for each in by_topic.values()] == [len(messages)] * 3
    assert PERSON["street"] in json.dumps(by_topic["order"])
    assert PERSON["street"] in json.dumps(by_topic["customer"])
    assert not [secret for secret in SECRETS if secret in json.dumps(by_topic["masked"])]
