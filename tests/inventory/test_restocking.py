"""Returned goods go into stock, all at once, and once."""

from itertools import permutations

import pytest

from eventstore.testing import decided
from inventory.commands import ReleaseInventory, Restock, StockLine
from inventory.events import (
    GoodsRestocked,
    InventoryReleased,
    InventoryReserved,
    InventoryReturned,
    StockReceived,
    StockReleased,
    StockReturned,
)
from inventory.restocking import RestockingIsAnother
from inventory.stock import STOCK

LINES = (StockLine("A", 2), StockLine("B", 1), StockLine("A", 3))
RESTOCKED = {
    "restocking-r1": [GoodsRestocked("r1", LINES)],
    "stock-A": [StockReturned("A", "r1", 5)],
    "stock-B": [StockReturned("B", "r1", 1)],
}


def test_all_products_are_restocked_together():
    assert decided({"stock-A": [StockReceived("A", 2)]}, Restock("r1", LINES)) == RESTOCKED


def test_a_return_is_restocked_once():
    assert decided(RESTOCKED, Restock("r1", LINES)) == {}


def test_other_goods_of_the_same_return_are_no_repeat():
    with pytest.raises(RestockingIsAnother):
        decided(RESTOCKED, Restock("r1", LINES[:2]))
    assert decided(RESTOCKED, Restock("r1", (StockLine("B", 1), StockLine("A", 5)))) == {}


def test_what_came_back_can_be_promised_again():
    assert STOCK.fold([StockReceived("A", 2), StockReturned("A", "r1", 5)]).available == 7


class TestGoodsOfAnOrder:
    """Each reserved unit goes back into stock once: by a return or by a release, whichever is
    first."""

    HELD = {
        "stock-A": [StockReceived("A", 9)],
        "reservation-o1": [InventoryReserved("o1", (StockLine("A", 3),))],
    }
    RELEASE = ReleaseInventory("o1", (StockLine("A", 3),))

    def after(self, *commands):
        histories, put = dict(self.HELD), 0
        for command in commands:
            for stream, events in decided(histories, command).items():
                histories[stream] = [*histories.get(stream, []), *events]
                put += sum(
                    event.quantity
                    for event in events
                    if isinstance(event, StockReturned | StockReleased)
                )
        return put, histories

    def back(self, quantity, return_id="r1"):
        return Restock(return_id, (StockLine("A", quantity),), "o1")

    def test_the_order_of_a_return_is_told_what_came_of_it(self):
        assert decided(self.HELD, self.back(1)) == {
            "restocking-r1": [GoodsRestocked("r1", (StockLine("A", 1),))],
            "reservation-o1": [InventoryReturned("o1", "r1", (StockLine("A", 1),))],
            "stock-A": [StockReturned("A", "r1", 1)],
        }

    def test_what_has_come_back_is_not_released_once_more(self):
        put, histories = self.after(self.back(1), self.RELEASE)
        assert put == 3
        assert histories["reservation-o1"][-1] == InventoryReleased("o1", (StockLine("A", 2),))

    def test_what_was_released_is_not_put_on_the_shelf_once_more(self):
        put, histories = self.after(self.RELEASE, self.back(2))
        assert put == 3
        assert histories["restocking-r1"] == [GoodsRestocked("r1", (StockLine("A", 2),))], (
            "it is there all the same"
        )

    def test_in_whatever_order_and_however_often(self):
        commands = (self.back(1), self.back(2, "r2"), self.RELEASE)
        for order in permutations(commands):
            assert self.after(*order, *order)[0] == 3

    def test_all_of_it_may_have_come_back_before(self):
        put, histories = self.after(self.back(3), self.RELEASE)
        assert put == 3
        assert histories["reservation-o1"][-1] == InventoryReleased("o1", ())

    def test_what_was_never_reserved_for_it_is_put_on_the_shelf(self):
        assert decided({}, self.back(2))["stock-A"] == [StockReturned("A", "r1", 2)]
        assert self.after(self.RELEASE, self.back(2), self.back(2, "r2"))[0] == 4, (
            "of the second, one was not released"
        )
