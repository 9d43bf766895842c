"""A process drops what it remembers of a lost tail, and decides nothing on it."""

from datetime import UTC, datetime

import pytest

from eventstore import log
from eventstore.commands import bus
from eventstore.money import Money
from orders.commands import CancelOrder, Item, ListProduct, PlaceOrder, RepriceProduct
from shipping.commands import Address

from .losing import another_process, forget_the_mark, last, lose_behind

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 1, 1, tzinfo=UTC)


def place(order_id, sku="CUP"):
    return PlaceOrder(order_id, "ada", (Item(sku, 1),), Address("Ada"), "tok_visa", AT)


def price_of(order_id):
    [placed] = log.read_stream(f"order-{order_id}")
    return placed.body.total


@pytest.fixture
def repriced():
    """A cup at 10; its later price of 12 is lost."""
    bus.dispatch(ListProduct("CUP", "A cup", Money(1000, "EUR")))
    before = last()
    bus.dispatch(RepriceProduct("CUP", Money(1200, "EUR")))
    bus.dispatch(place("o-1"))
    assert price_of("o-1") == Money(1200, "EUR")
    return before


def test_a_price_that_the_log_has_lost_is_not_charged(repriced):
    lose_behind(repriced)
    bus.dispatch(place("o-2"))
    assert price_of("o-2") == Money(1000, "EUR")


def test_nor_when_the_versions_were_given_to_other_events_since(repriced):
    lose_behind(repriced)
    forget_the_mark()
    another_process("RepriceProduct('CUP', Money(900, 'EUR'))")
    bus.dispatch(place("o-2"))
    assert price_of("o-2") == Money(900, "EUR")


def test_what_was_done_and_lost_is_done_again_and_not_taken_for_done():
    bus.dispatch(ListProduct("CUP", "A cup", Money(1000, "EUR")))
    bus.dispatch(place("o-1"))
    before = last()
    bus.dispatch(CancelOrder("o-1", "changed my mind"))
    lose_behind(before)
    assert [
        type(event).__name__ for event in bus.dispatch(CancelOrder("o-1", "changed my mind")).events
    ] == ["OrderCancelled"]
