"""Orders' policy: it waits for a payment as long as its method takes, and no longer."""

from datetime import UTC, datetime, timedelta

import pytest

from eventstore.messages import DeadlinePassed
from eventstore.testing import react
from orders.commands import CancelOrder
from orders.policies import POLICY, OrderPlaced, PaymentCompleted, PaymentFailed
from payments.commands import AT_ONCE

SLIP, CARD = OrderPlaced("o1", "tok_bank_slip"), OrderPlaced("o1", "tok_visa")
LATE = DeadlinePassed("o1", datetime(2026, 1, 1, tzinfo=UTC), 1)


@pytest.mark.parametrize(("placed", "within"), [(SLIP, timedelta(days=5)), (CARD, AT_ONCE)])
def test_it_waits_as_the_method_says_and_as_long_as_a_conductor_would(placed, within):
    assert react(POLICY, placed).deadline == within + AT_ONCE


def test_what_is_not_paid_in_time_is_cancelled():
    assert list(react(POLICY, SLIP, LATE).commands) == [CancelOrder("o1", "no answer: payment")]


@pytest.mark.parametrize("answer", [PaymentCompleted("o1"), PaymentFailed("o1", "declined")])
def test_an_answer_ends_the_wait(answer):
    answered = react(POLICY, SLIP, answer)
    assert answered.deadline is None
    assert list(react(POLICY, SLIP, answer, LATE).commands) == []
