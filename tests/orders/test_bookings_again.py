"""A booking is recorded once; a different booking with its id is refused."""

from datetime import UTC, datetime

import pytest

from eventstore.messages import replace
from eventstore.money import Money
from eventstore.testing import given
from orders.bookkeeping.aggregate import BOOKING, BookedOtherwise
from orders.commands import AdjustLedger, IssueCredit
from orders.events import Charge, CreditIssued, LedgerAdjusted, OrderLine

AT = datetime(2026, 1, 1, tzinfo=UTC)
LINES = (OrderLine("A", "Apple", 2, 100),)
CREDIT = IssueCredit("b1", "c1", LINES, (), "GBP", 2, "C1", AT)
ISSUED = CreditIssued("b1", "c1", LINES, (), Money(200, "GBP"), "C1", AT)
ADJUST = AdjustLedger("b1", Money(-500, "GBP"), "bad debt", "A1", AT)
ADJUSTED = LedgerAdjusted("b1", Money(-500, "GBP"), "bad debt", "A1", AT)


def test_a_repeat_is_ignored():
    given(BOOKING).when(CREDIT).then(ISSUED)
    given(BOOKING, ISSUED).when(CREDIT).then()
    given(BOOKING).when(ADJUST).then(ADJUSTED)
    given(BOOKING, ADJUSTED).when(ADJUST).then()


@pytest.mark.parametrize(
    "other",
    [
        replace(CREDIT, lines=(OrderLine("A", "Apple", 1, 100),)),
        replace(CREDIT, charges=(Charge("POST", "Postage", 1, 180),)),
        replace(CREDIT, customer_id="c2"),
        replace(CREDIT, currency="EUR"),
        ADJUST,
    ],
)
def test_another_credit_under_its_id_is_refused(other):
    given(BOOKING, ISSUED).when(other).refused(BookedOtherwise)


@pytest.mark.parametrize(
    "other", [replace(ADJUST, amount=Money(-501, "GBP")), replace(ADJUST, reason="x"), CREDIT]
)
def test_another_adjustment_under_its_id_is_refused(other):
    given(BOOKING, ADJUSTED).when(other).refused(BookedOtherwise)
