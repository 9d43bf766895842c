import pytest

from eventstore.testing import given
from inventory.commands import AdjustStock, ReceiveStock
from inventory.events import StockAdjusted, StockReceived, StockReleased, StockReserved
from inventory.stock import STOCK, NotEnoughStock

FIVE = StockReceived("A", 5)


def available(*events):
    return STOCK.fold(events).available


def test_what_comes_in_is_available():
    given(STOCK).when(ReceiveStock("A", 5, "delivery 1")).then(StockReceived("A", 5, "delivery 1"))
    assert available(FIVE, FIVE) == 10


def test_what_is_reserved_is_not_available_until_it_is_released():
    assert available(FIVE, StockReserved("A", "o1", 3)) == 2
    assert available(FIVE, StockReserved("A", "o1", 3), StockReleased("A", "o1", 3)) == 5


@pytest.mark.parametrize("quantity", [3, -5])
def test_the_books_are_set_right_in_either_direction(quantity):
    given(STOCK, FIVE).when(AdjustStock("A", quantity, "counted")).then(
        StockAdjusted("A", quantity, "counted")
    )


def test_no_more_is_taken_away_than_is_there_unpromised():
    given(STOCK, FIVE).when(AdjustStock("A", -6, "broken")).refused(NotEnoughStock)
    given(STOCK, FIVE, StockReserved("A", "o1", 3)).when(AdjustStock("A", -3, "broken")).refused(
        NotEnoughStock
    )
    given(STOCK).when(AdjustStock("A", -1, "broken")).refused(NotEnoughStock)
