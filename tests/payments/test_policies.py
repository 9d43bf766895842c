"""Payments' policy: a refund follows once the goods are back, or were never reserved."""

from datetime import UTC, datetime

import pytest

from eventstore.messages import DeadlinePassed, Intervened
from eventstore.money import Money
from eventstore.testing import react
from payments.commands import RefundPayment
from payments.events import PaymentCompleted
from payments.policies import (
    POLICY,
    InventoryReleased,
    InventoryReservationFailed,
    OrderCancelled,
    OrderPlaced,
)

TOTAL = Money(500, "EUR")
ASKED = (OrderPlaced("o1", TOTAL, "tok_visa"),)
PAID = (*ASKED, PaymentCompleted("o1", TOTAL, "ch_1"))
CANCELLED = OrderCancelled("o1", "changed my mind")
REFUND = [RefundPayment("o1", "changed my mind")]
SKIP = Intervened("o1", "skip", "the goods are here", "ada")
LATE = DeadlinePassed("o1", datetime(2026, 1, 1, tzinfo=UTC), 1)


@pytest.mark.parametrize(
    "before",
    [ASKED, (*PAID, InventoryReservationFailed("o1"))],
    ids=["not paid yet", "out of stock"],
)
def test_without_goods_it_goes_back_at_once(before):
    assert list(react(POLICY, *before, CANCELLED).commands) == REFUND


@pytest.mark.parametrize("undone", [InventoryReleased("o1"), InventoryReservationFailed("o1")])
def test_goods_that_are_being_reserved_go_back_first(undone):
    waiting = react(POLICY, *PAID, CANCELLED)
    assert (waiting.state.status, list(waiting.commands)) == ("COMPENSATING", [])
    assert waiting.deadline is not None
    assert list(react(POLICY, *PAID, CANCELLED, undone).commands) == REFUND


def test_goods_that_do_not_come_back_call_for_a_person_who_sees_to_it():
    assert react(POLICY, *PAID, CANCELLED, LATE).state.status == "NEEDS_ATTENTION"
    for course in ((LATE, SKIP), (SKIP,), (LATE, InventoryReleased("o1"))):
        assert list(react(POLICY, *PAID, CANCELLED, *course).commands) == REFUND


def test_once_it_is_back_nothing_gives_it_back_again():
    for again in (InventoryReleased("o1"), SKIP, LATE):
        assert list(react(POLICY, *PAID, CANCELLED, InventoryReleased("o1"), again).commands) == []
