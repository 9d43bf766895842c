"""A reservation is decided over the stock of all its products at once."""

import pytest

from eventstore.testing import decided
from inventory.commands import ReleaseInventory, ReserveInventory, StockLine
from inventory.events import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    Shortage,
    StockReceived,
    StockReleased,
    StockReserved,
)
from inventory.reservation import ReservationIsAnother

LINES = (StockLine("A", 2), StockLine("B", 1))
STOCK = {"stock-A": [StockReceived("A", 2)], "stock-B": [StockReceived("B", 5)]}
RESERVED = {
    "reservation-o1": [InventoryReserved("o1", LINES)],
    "stock-A": [StockReserved("A", "o1", 2)],
    "stock-B": [StockReserved("B", "o1", 1)],
}
RELEASED = {
    "reservation-o1": [InventoryReleased("o1", LINES)],
    "stock-A": [StockReleased("A", "o1", 2)],
    "stock-B": [StockReleased("B", "o1", 1)],
}
RESERVE, RELEASE = ReserveInventory("o1", LINES), ReleaseInventory("o1", LINES)


def after(*decisions):
    histories = dict(STOCK)
    for decision in decisions:
        for stream, events in decision.items():
            histories[stream] = [*histories.get(stream, []), *events]
    return histories


def test_all_lines_are_reserved_if_all_are_there_to_the_last_one():
    assert decided(STOCK, RESERVE) == RESERVED


def test_none_is_reserved_if_one_is_short_and_every_shortage_is_named():
    lines = (StockLine("A", 3), StockLine("B", 1), StockLine("C", 1))
    assert decided(STOCK, ReserveInventory("o1", lines)) == {
        "reservation-o1": [
            InventoryReservationFailed("o1", (Shortage("A", 3, 2), Shortage("C", 1, 0)))
        ]
    }


def test_a_product_in_several_lines_is_counted_together():
    lines = (StockLine("A", 1), StockLine("B", 1), StockLine("A", 2))
    assert decided(STOCK, ReserveInventory("o1", lines)) == {
        "reservation-o1": [InventoryReservationFailed("o1", (Shortage("A", 3, 2),))]
    }
    fitting = (StockLine("B", 1), StockLine("B", 2))
    assert decided(STOCK, ReserveInventory("o1", fitting))["stock-B"] == [
        StockReserved("B", "o1", 3)
    ]


def test_what_another_order_has_reserved_is_not_there():
    other = {"stock-A": [StockReserved("A", "o2", 1)]}
    (failed,) = decided(after(other), RESERVE)["reservation-o1"]
    assert failed.shortages == (Shortage("A", 2, 1),)


def test_what_is_released_is_there_again():
    assert decided(after(RESERVED, RELEASED), ReserveInventory("o2", LINES))["stock-A"] == [
        StockReserved("A", "o2", 2)
    ]


def test_an_order_reserves_once():
    failed = {"reservation-o1": [InventoryReservationFailed("o1", ())]}
    assert decided(after(RESERVED), RESERVE) == {}
    assert decided(after(failed), RESERVE) == {}
    assert decided(after(RESERVED, RELEASED), RESERVE) == {}


def test_what_is_reserved_goes_back_whole():
    assert decided(after(RESERVED), RELEASE) == RELEASED


def test_what_goes_back_is_what_was_reserved_whatever_the_command_says():
    command = ReleaseInventory("o1", (StockLine("A", 99), StockLine("B", 99)))
    assert decided(after(RESERVED), command) == RELEASED


@pytest.mark.parametrize(
    "before", [(RESERVED, RELEASED), ({"reservation-o1": [InventoryReservationFailed("o1", ())]},)]
)
def test_it_goes_back_once_and_only_if_there_is_something(before):
    assert decided(after(*before), RELEASE) == {}


def test_a_release_before_the_reservation_is_a_tombstone_and_no_reservation_follows():
    tombstone = {"reservation-o1": [InventoryReleased("o1", ())]}
    assert decided(STOCK, RELEASE) == tombstone
    assert decided(after(tombstone), RESERVE) == {}
    assert decided(after(tombstone), RELEASE) == {}


def test_another_reservation_of_the_same_order_is_no_repeat():
    with pytest.raises(ReservationIsAnother):
        decided(after(RESERVED), ReserveInventory("o1", (StockLine("A", 1),)))
    split = tuple(StockLine(line.sku, 1) for line in LINES for _ in range(line.quantity))
    assert decided(after(RESERVED), ReserveInventory("o1", split)) == {}
