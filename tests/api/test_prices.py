"""Money in requests: an existing currency, its own exponent, and never another one than the client
meant."""

import pytest

from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import ListProduct

from .conftest import pointers

pytestmark = pytest.mark.usefixtures("shop")


def listed(operator, price, sku="YEN"):
    return operator.post("/api/commands/products/", {"sku": sku, "name": "A thing", "price": price})


@pytest.mark.parametrize(
    ("price", "exponent"),
    [
        ({"amount": 500, "currency": "JPY"}, 0),
        ({"amount": 500, "currency": "JPY", "exponent": 0}, 0),
        ({"amount": 500, "currency": "EUR"}, 2),
        ({"amount": 1230, "currency": "KWD"}, 3),
    ],
)
def test_the_exponent_follows_from_the_currency(operator, ada, price, exponent):
    assert listed(operator, price).status_code == 202
    drain()
    found = ada.get("/api/queries/products/YEN/").json()["price"]
    assert found == price | {"exponent": exponent}


def test_five_hundred_yen_are_charged_as_five_hundred_yen(operator, ada):
    listed(operator, {"amount": 500, "currency": "JPY"})
    operator.post("/api/commands/stock/YEN/receive/", {"quantity": 5})
    order_id = ada.placed({"sku": "YEN", "quantity": 2, "seen": {"amount": 500, "currency": "JPY"}})
    drain()
    paid = ada.get(f"/api/queries/payments/{order_id}/").json()
    assert (paid["status"], paid["amount"]) == (
        "COMPLETED",
        {"amount": 1000, "currency": "JPY", "exponent": 0},
    )


@pytest.mark.parametrize(
    ("price", "pointer"),
    [
        ({"amount": 500, "currency": "JPY", "exponent": 2}, "#/price/exponent"),
        ({"amount": 500, "currency": "EUR", "exponent": 3}, "#/price/exponent"),
        ({"amount": 500, "currency": "EUE"}, "#/price/currency"),
        ({"amount": 500, "currency": "ZZ"}, "#/price/currency"),
        ({"amount": 500, "currency": "eur"}, "#/price/currency"),
        ({"amount": 500, "currency": "BGN"}, "#/price/currency"),
        ({"amount": 500, "currency": "XXX"}, "#/price/currency"),
        ({"amount": 500, "currency": "XAU"}, "#/price/currency"),
    ],
)
def test_what_is_no_price_is_named(operator, price, pointer):
    assert pointers(listed(operator, price)) == [pointer]
    answer = operator.post("/api/commands/products/CUP/reprice/", {"price": price})
    assert pointers(answer) == [pointer]


def test_a_price_that_is_told_in_a_finer_unit_is_the_price_that_was_seen(ada):
    bus.dispatch_all(
        [ListProduct("FINE", "Imported", Money(8900, "EUR", 3)), ReceiveStock("FINE", 5)]
    )
    found = {"amount": 8900, "currency": "EUR", "exponent": 3}
    for seen in (
        found,
        {"amount": 890, "currency": "EUR"},
        {"amount": 890, "currency": "EUR", "exponent": 2},
    ):
        assert ada.place({"sku": "FINE", "quantity": 1, "seen": seen}).status_code == 202, seen
    assert (
        ada.place({"sku": "FINE", "quantity": 1, "seen": found | {"amount": 8901}}).json()["code"]
        == "PriceChanged"
    )


def test_prices_of_one_currency_are_ordered_together_in_whatever_unit_they_are(ada):
    bus.dispatch_all(
        [ListProduct("FINE", "Imported", Money(8905, "EUR", 3)), ReceiveStock("FINE", 5)]
    )
    order_id = ada.placed({"sku": "FINE", "quantity": 2}, {"sku": "CUP", "quantity": 1})
    drain()
    found = ada.get(f"/api/queries/orders/{order_id}/").json()
    assert found["total"] == {"amount": 2 * 8905 + 19990, "currency": "EUR", "exponent": 3}


def test_the_same_price_in_another_unit_changes_nothing(operator):
    bus.dispatch(ListProduct("FINE", "Imported", Money(8900, "EUR", 3)))
    body = {"price": {"amount": 890, "currency": "EUR"}}
    assert operator.post("/api/commands/products/FINE/reprice/", body).json()["version"] == 1
