"""Inventory's policy: goods are released once no parcel holds them, and not before."""

from datetime import UTC, datetime

import pytest

from eventstore.messages import DeadlinePassed, Intervened
from eventstore.testing import react
from inventory.commands import ReleaseInventory, StockLine
from inventory.events import InventoryReserved
from inventory.policies import (
    POLICY,
    OrderCancelled,
    OrderPlaced,
    PaymentCompleted,
    ShipmentCancelled,
    ShipmentRefused,
    ShipmentShipped,
)

LINES = (StockLine("TEA", 2),)
ASKED = (OrderPlaced("o1", LINES), PaymentCompleted("o1"))
PACKED = (*ASKED, InventoryReserved("o1", LINES))
CANCELLED = OrderCancelled("o1")
RELEASE = [ReleaseInventory("o1", LINES)]
SKIP = Intervened("o1", "skip", "the carrier brings it back", "ada")
LATE = DeadlinePassed("o1", datetime(2026, 1, 1, tzinfo=UTC), 1)


@pytest.mark.parametrize(
    "before",
    [ASKED, (*ASKED, InventoryReserved("o1", ())), (*PACKED, ShipmentRefused("o1"))],
    ids=["being reserved", "nothing to pack", "the carrier does not go there"],
)
def test_without_a_parcel_they_go_back_at_once(before):
    reaction = react(POLICY, *before, CANCELLED)
    assert (reaction.state.status, list(reaction.commands)) == ("cancelled", RELEASE)


def test_a_parcel_is_called_back_first():
    waiting = react(POLICY, *PACKED, CANCELLED)
    assert (waiting.state.status, list(waiting.commands)) == ("COMPENSATING", [])
    assert waiting.deadline is not None
    assert list(react(POLICY, *PACKED, CANCELLED, ShipmentCancelled("o1")).commands) == RELEASE


@pytest.mark.parametrize(
    "course",
    [(ShipmentShipped("o1"), CANCELLED), (CANCELLED, ShipmentShipped("o1")), (CANCELLED, LATE)],
    ids=["it has left", "it leaves meanwhile", "nobody answers"],
)
def test_one_that_does_not_come_back_calls_for_a_person_who_sees_to_it(course):
    stuck = react(POLICY, *PACKED, *course)
    assert (stuck.state.status, list(stuck.commands)) == ("NEEDS_ATTENTION", [])
    assert list(react(POLICY, *PACKED, *course, SKIP).commands) == RELEASE


def test_once_they_are_back_nothing_gives_them_back_again():
    back = (*PACKED, CANCELLED, ShipmentCancelled("o1"))
    for again in (ShipmentCancelled("o1"), SKIP, LATE):
        assert list(react(POLICY, *back, again).commands) == []
