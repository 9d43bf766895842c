"""Each state of an order and each fact in it, in either form of the process: docs/guide/matrix.md
has
the outcomes.

Held subscriptions answer a moment later; in the second half, after all deadlines have passed. Then
money, goods and parcel are where the order's status says, or the process needs attention, and
nothing waits for ever.
"""

import pytest

from config.wiring import PROCESSES
from tools.verification.simulation.facts import FACTS

from . import page
from .cells import BY_HAND, cells, lived
from .states import STATES

PAGE = page.written()


def test_the_page_has_every_state_and_in_each_whatever_may_come():
    assert list(PAGE) == list(STATES), "python -m tests.matrix writes the page anew"
    for state, rows in PAGE.items():
        assert set(rows) == set(FACTS), f"{state}: python -m tests.matrix writes the page anew"


@pytest.mark.parametrize("state", STATES)
def test_what_comes_leads_to_what_the_page_says(state):
    outcomes = page.outcomes(state)
    differing = {
        fact: (outcome, PAGE[state][fact])
        for fact, outcome in outcomes.items()
        if outcome != PAGE[state][fact]
    }
    assert not differing, (
        f"{state}: read each, and if it is right write the page anew: python -m tests.matrix"
    )
    assert page.alone_in_words(state) == page.left_alone_as_written()[state]


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("state", STATES)
def test_nothing_is_lost_when_everybody_is_late(state, process):
    for fact in FACTS:
        try:
            lived(state, fact, process, late=True)
        except AssertionError as error:
            raise AssertionError(f"{fact}: {error}") from None


def test_the_page_never_leaves_an_order_without_money_or_goods_in_silence():
    """By the page alone: staff are refused, or undo the order."""
    for state, fact, process in cells():
        outcome = PAGE[state][fact][list(PROCESSES).index(process)]
        if (
            fact not in BY_HAND
            and "CONFIRMED, payment REFUNDED" in outcome
            and "goods RETURNED" not in outcome
        ):
            assert "is called" in outcome or "dead letter" in outcome, f"{state}, {fact}: {outcome}"


def test_no_command_of_a_person_is_taken_and_forgotten():
    """A refund either returns the money or is refused: never accepted without effect."""
    for state, rows in PAGE.items():
        for outcome in rows["support or finance refunds it"]:
            is_over = (
                "REFUNDED" in outcome
                or outcome.startswith("refused")
                or "refund" in state
                or "going back" in state
            )
            assert is_over or state == "payment declined, to be cancelled", f"{state}: {outcome}"


class TestItWouldFind:
    """Each of these faults was in the code, or could have been; the cells must find it."""

    def test_a_refund_that_goes_past_the_process(self, monkeypatch):
        from payments.commands import RefundPayment

        monkeypatch.setitem(
            FACTS,
            "support or finance refunds it",
            lambda world, order_id: world.dispatch(RefundPayment(order_id, "?")),
        )
        for state in ("parcel booked, to be confirmed", "confirmed"):
            assert _found("the provider holds", state, "support or finance refunds it")

    def test_a_notice_of_the_carrier_that_is_refused(self, monkeypatch):
        from shipping.commands import ShipShipment
        from tools.verification.simulation import facts

        def refused(world, order_id):
            return facts._carried(world, order_id, ShipShipment(order_id), left=True)

        monkeypatch.setitem(FACTS, "carrier: shipped", refused)
        assert _found("parcel has left", "cancelled while the parcel is booked", "carrier: shipped")

    def test_late_money_that_is_ignored(self, monkeypatch):
        from eventstore import registry
        from payments.commands import CompletePayment
        from payments.payment import PAYMENT

        forgetful = PAYMENT._replace(decide={**PAYMENT.decide, CompletePayment: _only_if_requested})
        monkeypatch.setattr(
            registry, "decision_for", _deciding_by(forgetful, registry.decision_for)
        )
        assert _found("in the log", "cancelled, payment declined", "provider: payment succeeded")


def _only_if_requested(payment, command):
    from payments.payment import complete

    return complete(payment, command) if payment.status == "requested" else []


def _deciding_by(aggregate, otherwise):
    from eventstore.aggregate import decisions

    ours = decisions(aggregate)
    return lambda command: ours.get(type(command)) or otherwise(command)


def _found(words, state, fact):
    found = []
    for process in PROCESSES:
        try:
            lived(state, fact, process)
        except AssertionError as error:
            found.append(words in str(error))
    return found == [True] * len(PROCESSES)
