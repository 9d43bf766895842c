"""Placing an order is decided over the order and the catalogue's products."""

from datetime import UTC, datetime

import pytest

from eventstore.aggregate import CommandRejected
from eventstore.money import Money
from eventstore.testing import decided
from orders.catalogue.aggregate import Product, ProductNotOffered
from orders.commands import Item, PlaceOrder
from orders.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    ProductDelisted,
    ProductListed,
    ProductRepriced,
)
from orders.order.aggregate import (
    EmptyOrder,
    MixedCurrencies,
    NotPayable,
    Order,
    OrderAlreadyPlaced,
    PriceChanged,
    decisions,
)
from shipping.commands import Address

AT = datetime(2026, 1, 1, tzinfo=UTC)
APPLE, PEAR = (
    ProductListed("A", "Apple", Money(100, "EUR")),
    ProductListed("B", "Pear", Money(250, "EUR")),
)
CATALOGUE = {"product-A": [APPLE], "product-B": [PEAR]}


def place(*items):
    return PlaceOrder("o1", "c1", items, Address("Ada"), "tok_visa", AT)


def placed(lines, total):
    event = OrderPlaced("o1", "c1", lines, (), Money(total, "EUR"), Address("Ada"), "tok_visa", AT)
    return {"order-o1": [event]}


def refused(histories, command, refusal):
    with pytest.raises(CommandRejected) as caught:
        decided(histories, command)
    assert type(caught.value) is refusal


def test_prices_names_and_total_are_the_shops_own():
    lines = (OrderLine("A", "Apple", 3, 100), OrderLine("B", "Pear", 2, 250))
    assert decided(CATALOGUE, place(Item("A", 3), Item("B", 2))) == placed(lines, 800)


def test_nothing_is_said_about_the_products():
    assert set(decided(CATALOGUE, place(Item("A", 1)))) == {"order-o1"}


def test_the_price_is_the_one_of_the_moment():
    histories = CATALOGUE | {"product-A": [APPLE, ProductRepriced("A", Money(120, "EUR"))]}
    assert decided(histories, place(Item("A", 1))) == placed(
        (OrderLine("A", "Apple", 1, 120),), 120
    )


def test_a_product_may_be_named_in_several_lines():
    lines = (OrderLine("A", "Apple", 1, 100), OrderLine("A", "Apple", 2, 100))
    assert decided(CATALOGUE, place(Item("A", 1), Item("A", 2))) == placed(lines, 300)


def test_a_free_product_can_be_ordered():
    histories = {"product-A": [ProductListed("A", "Sample", Money(0, "EUR"))]}
    assert decided(histories, place(Item("A", 1))) == placed((OrderLine("A", "Sample", 1, 0),), 0)


def test_the_price_that_the_customer_saw_is_honoured_if_it_still_is_one():
    assert decided(CATALOGUE, place(Item("A", 1, Money(100, "EUR"))))


@pytest.mark.parametrize("seen", [Money(99, "EUR"), Money(100, "GBP"), Money(1001, "EUR", 3)])
def test_another_price_than_the_customer_saw_is_told(seen):
    refused(CATALOGUE, place(Item("A", 1, seen)), PriceChanged)


def test_what_is_not_offered_cannot_be_ordered():
    refused(CATALOGUE, place(Item("A", 1), Item("C", 1)), ProductNotOffered)
    refused(
        CATALOGUE | {"product-A": [APPLE, ProductDelisted("A")]},
        place(Item("A", 1)),
        ProductNotOffered,
    )


def test_currencies_are_not_mixed():
    pound = {"product-B": [ProductListed("B", "Pear", Money(250, "GBP"))]}
    refused(CATALOGUE | pound, place(Item("A", 1), Item("B", 1)), MixedCurrencies)


def test_units_are_those_of_the_finest_price():
    mill = {"product-B": [ProductListed("B", "Pear", Money(2505, "EUR", 3))]}
    (event,) = decided(CATALOGUE | mill, place(Item("A", 1), Item("B", 1)))["order-o1"]
    assert (event.total.exponent, event.total) == (3, Money(3505, "EUR", 3))
    assert [line.unit_price for line in event.lines] == [1000, 2505]


def test_what_the_provider_cannot_take_is_refused_before_anything_is_written():
    decision = decisions(lambda money: f"{money} cannot be taken." if money.amount % 10 else "")[
        PlaceOrder
    ]
    states = {"order-o1": Order(), "product-A": Product(True, "Apple", Money(1235, "KWD"))}
    with pytest.raises(NotPayable, match="1.235 KWD cannot be taken"):
        decision.decide(states, place(Item("A", 1)))
    assert decision.decide(states, place(Item("A", 2)))


def test_an_order_of_nothing_is_refused():
    refused(CATALOGUE, place(), EmptyOrder)


@pytest.mark.parametrize("later", [[], [OrderConfirmed("o1")], [OrderCancelled("o1", "")]])
def test_an_order_is_placed_once(later):
    (history,) = decided(CATALOGUE, place(Item("A", 1))).values()
    refused(CATALOGUE | {"order-o1": [*history, *later]}, place(Item("A", 1)), OrderAlreadyPlaced)
