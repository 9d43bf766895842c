"""Objects belong to an id that no two accounts ever have, not to a name, which can change and be
used again."""

import pytest
from django.contrib.auth.models import User

from access import accounts
from access.models import Customer
from eventstore.testing import drain

from .conftest import ADDRESS, Api, problem

pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture
def bought(ada):
    order_id = ada.placed()
    drain()
    return order_id


def everything_of(order_id, return_id):
    return [
        f"/api/queries/orders/{order_id}/",
        f"/api/queries/orders/{order_id}/history/",
        f"/api/queries/orders/{order_id}/progress/",
        f"/api/queries/payments/{order_id}/",
        f"/api/queries/shipments/{order_id}/",
        f"/api/queries/returns/{return_id}/",
    ]


def a_return_of(api, order_id):
    body = {"lines": [{"number": 1, "quantity": 1}], "reason": "too small"}
    answer = api.post(f"/api/commands/orders/{order_id}/returns/", body)
    assert answer.status_code == 202, answer.content
    drain()
    return answer.json()["return_id"]


def listed(api, path="/api/queries/orders/"):
    return [each["order_id"] for each in api.get(path).json()["data"]]


def test_an_order_says_whose_it_is_by_an_id_and_not_by_the_name(ada, bought):
    owner = ada.get(f"/api/queries/orders/{bought}/").json()["customer_id"]
    assert owner == ada.customer_id != "ada"


def test_orders_stay_with_the_person_whose_name_is_changed(ada, person, bought):
    return_id = a_return_of(ada, bought)
    User.objects.filter(username="ada").update(username="ada-lovelace")
    stranger = person("ada")
    for path in everything_of(bought, return_id):
        assert ada.get(path).status_code == 200, path
        problem(stranger.get(path), 404)
    assert listed(ada) == listed(ada, "/api/queries/returns/") == [bought]
    assert listed(stranger) == listed(stranger, "/api/queries/returns/") == []
    problem(stranger.post(f"/api/commands/orders/{bought}/cancel/"), 404)
    problem(
        stranger.post(f"/api/commands/orders/{bought}/returns/", {"lines": [], "reason": "x"}), 400
    )
    lines = [{"number": 1, "quantity": 1}]
    problem(
        stranger.post(f"/api/commands/orders/{bought}/returns/", {"lines": lines, "reason": "x"}),
        404,
    )


def test_orders_of_an_account_that_is_deleted_are_nobodys(ada, person, support, bought):
    return_id = a_return_of(ada, bought)
    gone = User.objects.get(username="ada")
    number = gone.pk
    gone.delete()
    # The worst case: the same name and primary key, as after a restore that reset the sequence.
    heir = Api(User.objects.create(pk=number, username="ada"))
    for path in everything_of(bought, return_id):
        problem(heir.get(path), 404)
        assert support.get(path).status_code == 200
    assert listed(heir) == listed(heir, "/api/queries/returns/") == []


def test_what_an_account_left_with_us_is_not_its_heirs(ada, shop):
    left = ada.post("/api/commands/products/CUP/delist/")
    assert left.status_code == 403
    address = ada.post(
        "/api/commands/orders/",
        {
            "items": [{"sku": "CUP", "quantity": 1}],
            "address": ADDRESS,
            "payment_method": "tok_visa",
        },
        Prefer="respond-async",
    )["Location"]
    gone = User.objects.get(username="ada")
    number = gone.pk
    gone.delete()
    problem(Api(User.objects.create(pk=number, username="ada")).get(address), 404)


def test_nobody_owns_what_a_guest_has_bought(ada, shop):
    assert not accounts.names([""])
    assert ada.get("/api/queries/orders/?customer=").status_code == 400


def test_the_id_is_told_at_the_login_and_asked_for_by_staff(ada, support, bought):
    user = User.objects.get(username="ada")
    user.set_password("a long enough secret")
    user.save()
    answer = (
        Api()
        .post("/api/auth/login/", {"username": "ada", "password": "a long enough secret"})
        .json()
    )
    assert answer["customer_id"] == ada.customer_id
    assert listed(support, f"/api/queries/orders/?customer={ada.customer_id}") == [bought]
    assert listed(support, "/api/queries/orders/?customer=ada") == []


def test_an_account_has_one_id_however_often_it_is_asked_for(db):
    user = User.objects.create(username="linus")
    assert accounts.customer_id_of(user) == accounts.customer_id_of(User.objects.get(pk=user.pk))
    assert Customer.objects.filter(user=user).count() == 1
    assert accounts.names([accounts.customer_id_of(user), "nobody"]) == {
        accounts.customer_id_of(user): "linus"
    }
    assert accounts.customer_id_called("linus") == accounts.customer_id_of(user)
    assert accounts.customer_id_called("nobody") is None
