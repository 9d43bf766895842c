"""What comes back goes on the shelf, all of it at once, and once only."""

import pytest

from eventstore.testing import decided
from inventory.commands import Restock, StockLine
from inventory.events import GoodsRestocked, StockReceived, StockReturned
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
