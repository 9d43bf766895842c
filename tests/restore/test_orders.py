"""A client repeats a lost order: the result is the same order, paid once."""

import time
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from eventstore.commands import repository
from eventstore.testing import drain
from payments.models import SandboxEntry
from tests.api.conftest import ADDRESS, Api, User  # noqa: F401

from .losing import last, lose_behind

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = "/api/commands/orders/"
ORDER = {"items": [{"sku": "CUP", "quantity": 1}], "address": ADDRESS, "payment_method": "tok_visa"}


@pytest.fixture
def ada(cups):
    return Api(User.objects.create(username="ada"))


def place(api, key, body=ORDER):
    answer = api.post(ORDERS, body, **{"Idempotency-Key": key})
    assert answer.status_code == 202, answer.content
    return answer.json()["order_id"]


@pytest.mark.parametrize(
    "key",
    ["8e03978e-40d5-43e8-bc93-6894a57f9324", "an-opaque-key", str(uuid7())],
    ids=["of another kind", "opaque", "with a time"],
)
def test_an_order_that_was_lost_and_is_repeated_is_the_same_and_charged_once(ada, key):
    before = last()
    placed = place(ada, key)
    drain()
    lose_behind(before)
    repository.forget()
    assert place(ada, key) == placed
    drain()
    charges = SandboxEntry.objects.filter(kind="charge")
    assert [(each.order_id, each.done) for each in charges] == [(placed, True)]


def test_so_it_is_in_a_process_that_remembers_the_lost_one(ada):
    before = last()
    placed = place(ada, "k-1")
    drain()
    lose_behind(before)
    assert place(ada, "k-1") == placed
    drain()
    assert ada.get(f"/api/queries/orders/{placed}/").json()["payment_status"] == "COMPLETED"


def test_another_wish_has_another_id(ada):
    other = ORDER | {"payment_method": "tok_mastercard"}
    before, ids = last(), set()
    for key, body in (("k-1", ORDER), ("k-2", ORDER), ("k-1", other)):
        ids.add(place(ada, key, body))
        lose_behind(before)  # otherwise the third is refused, because its key is used
        repository.forget()
    assert len(ids) == 3


def test_a_key_with_a_time_gives_it_to_the_order(ada):
    key = uuid7()
    placed = UUID(place(ada, str(key)))
    assert (placed.version, placed.int >> 80) == (7, key.int >> 80)


def test_unless_that_time_is_none_of_today(ada):
    in_a_year = int((time.time() + 365 * 86400) * 1000) << 80 | (uuid7().int & ((1 << 80) - 1))
    assert UUID(place(ada, str(UUID(int=in_a_year)))).version == 8
