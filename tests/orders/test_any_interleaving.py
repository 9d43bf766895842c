"""Whatever answers first, comes twice or is cancelled: an order ends completed or undone, with nothing left open."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.wiring import PROCESSES
from eventstore.money import Money
from inventory.events import StockReleased, StockReserved
from orders.commands import CancelOrder, Item, PlaceOrder
from orders.events import OrderCancelled, OrderConfirmed
from payments.events import PaymentCompleted, PaymentRefunded
from shipping.commands import Address

from .simulation import AT, World

QUANTITY, PRICE = 3, 100
PLACE = PlaceOrder("o1", "c1", (Item("A", QUANTITY, Money(PRICE, "EUR")),), Address("Ada"), "tok_visa", AT)
CANCEL = CancelOrder("o1", "changed my mind")


def live(process, draw, *, stock, cancels):
    world = World(PROCESSES[process], draw, stock=stock)
    world.run(PLACE, *[CANCEL] * cancels)
    return world


def nothing_is_left_open(world, stock):
    confirmed, cancelled = world.said(OrderConfirmed), world.said(OrderCancelled)
    assert confirmed + cancelled == 1, "exactly one end"
    available = world.status("stock-A").available
    payment, shipment = world.status("payment-o1"), world.status("shipment-o1")
    assert world.said(PaymentCompleted) <= 1
    assert world.said(PaymentRefunded) <= 1
    assert world.said(StockReserved) <= 1
    assert world.said(StockReleased) <= world.said(StockReserved)
    if confirmed:
        assert (payment.status, shipment.status) == ("completed", "created")
        assert world.charged - world.refunded == QUANTITY * PRICE
        assert available == stock - QUANTITY
    else:
        assert payment.status in ("new", "failed", "refunded", "voided")
        assert shipment.status in ("new", "refused", "cancelled")
        assert world.charged == world.refunded
        assert available == stock
        assert world.booked == world.called_off
    return confirmed


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("stock", [QUANTITY - 1, QUANTITY, 10])
@pytest.mark.parametrize("cancels", [0, 1, 2])
def test_of_a_thousand_lives_none_is_left_open(process, stock, cancels):
    ends = set()
    for seed in range(250):
        world = live(process, random.Random(seed).randrange, stock=stock, cancels=cancels)
        try:
            ends.add(nothing_is_left_open(world, stock))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}\n" + "\n".join(map(repr, world.log))) from None
        if process == "orchestration":
            assert world.states["orders.fulfilment"].status == (
                "COMPLETED" if world.said(OrderConfirmed) else "COMPENSATED"
            )
    assert ends == ({0} if stock < QUANTITY else {0, 1}), "both ends must have been seen, or this test proves nothing"


@pytest.mark.parametrize("process", PROCESSES)
def test_nor_of_those_that_hypothesis_thinks_of(process):
    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), st.sampled_from([QUANTITY - 1, QUANTITY]), st.integers(0, 2))
    def life(data, stock, cancels):
        dice = data.draw(st.randoms(use_true_random=False))
        nothing_is_left_open(live(process, dice.randrange, stock=stock, cancels=cancels), stock)

    life()
