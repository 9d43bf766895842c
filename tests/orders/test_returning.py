"""The saga of a return: goods, restocking, refund; an obstacle needs attention."""

from datetime import UTC, datetime

import pytest

from eventstore.messages import CommandRefused, DeadlinePassed, Intervened, replace
from eventstore.money import Money
from eventstore.testing import react
from inventory.commands import Restock, StockLine
from inventory.events import GoodsRestocked
from orders.commands import CloseReturn, CompleteReturn
from orders.events import (
    GoodsReturned,
    ReturnClosed,
    ReturnCompleted,
    ReturnedCharge,
    ReturnedLine,
    ReturnRequested,
)
from orders.returns.saga import GOODS_PATIENCE, PATIENCE, RETRIES, RETURNING
from payments.commands import RefundPart
from payments.events import PartRefunded, PartRefundLapsed

AT = datetime(2026, 1, 1, tzinfo=UTC)
LINES = (ReturnedLine(1, "A", 2, 100),)
REQUESTED = ReturnRequested("r1", "o1", "c1", LINES, (), Money(200, "EUR"), "too small", AT)
CAME = GoodsReturned("r1", "o1", (ReturnedLine(1, "A", 1, 100),), Money(100, "EUR"), AT)
RESTOCKED = GoodsRestocked("r1", (StockLine("A", 1),))
REFUNDED = PartRefunded("o1", "r1", Money(100, "EUR"), "re_1")
COMPLETED, CLOSED = ReturnCompleted("r1", "o1"), ReturnClosed("r1", "o1", "never came")
RESTOCK, REFUND = (
    Restock("r1", (StockLine("A", 1),), "o1"),
    RefundPart("o1", "r1", Money(100, "EUR"), "return: too small"),
)
COMPLETE = CompleteReturn("r1")
LATE = DeadlinePassed("r1", AT, 1)
LAPSED = PartRefundLapsed("o1", "r1", "the payment failed")

TO_THE_END = (REQUESTED, CAME, RESTOCKED, REFUNDED, COMPLETED)


def after(*events):
    reaction = react(RETURNING, *events)
    return reaction.state.status, list(reaction.commands)


def person(action):
    return Intervened("r1", action, "seen to", "helen")


def refused(command, code="MoreThanWasPaid"):
    return CommandRefused("r1", command, code, "")


def test_step_by_step_goods_come_are_restocked_and_paid_back():
    assert after(REQUESTED) == ("GOODS_PENDING", [])
    assert after(REQUESTED, CAME) == ("RESTOCKING", [RESTOCK])
    assert after(REQUESTED, CAME, RESTOCKED) == ("REFUNDING", [REFUND])
    assert after(REQUESTED, CAME, RESTOCKED, REFUNDED) == ("COMPLETING", [COMPLETE])
    assert after(*TO_THE_END) == ("COMPLETED", [])


def test_a_charge_is_refunded_without_goods():
    postage = replace(REQUESTED, lines=(), charges=(ReturnedCharge(1, "POST", 1, 200),))
    assert after(postage) == (
        "REFUNDING",
        [RefundPart("o1", "r1", Money(200, "EUR"), "return: too small")],
    )
    assert after(postage, REFUNDED) == ("COMPLETING", [COMPLETE])


def test_what_cost_nothing_is_restocked_and_not_paid_back():
    assert after(REQUESTED, replace(CAME, refund=Money(0, "EUR")), RESTOCKED) == (
        "COMPLETING",
        [COMPLETE],
    )


def test_goods_have_thirty_days_and_every_other_step_a_quarter_of_an_hour():
    assert react(RETURNING, REQUESTED).deadline == GOODS_PATIENCE
    for count in (2, 3, 4):
        assert react(RETURNING, *TO_THE_END[:count]).deadline == PATIENCE
    assert react(RETURNING, *TO_THE_END).deadline is None


def test_goods_that_never_come_are_given_up():
    assert after(REQUESTED, LATE) == (
        "CLOSING",
        [CloseReturn("r1", "o1", "the goods did not come")],
    )
    assert after(REQUESTED, LATE, CLOSED) == ("CLOSED", [])


def test_goods_that_come_in_the_very_moment_are_paid_back():
    assert after(REQUESTED, LATE, CAME) == ("RESTOCKING", [RESTOCK])
    assert after(REQUESTED, LATE, CAME, refused("orders.close_return")) == ("RESTOCKING", [])


@pytest.mark.parametrize(("count", "pending"), [(2, RESTOCK), (3, REFUND), (4, COMPLETE)])
def test_a_step_that_does_not_answer_is_asked_again_and_in_the_end_a_person(count, pending):
    history = list(TO_THE_END[:count])
    for _ in range(RETRIES):
        history.append(LATE)
        assert after(*history)[1] == [pending]
    assert after(*history, LATE) == ("NEEDS_ATTENTION", [])
    assert react(RETURNING, *history, LATE).deadline is None


@pytest.mark.parametrize("obstacle", [refused("payments.refund_part"), LAPSED])
def test_money_that_cannot_go_back_needs_attention(obstacle):
    stuck = (*TO_THE_END[:3], obstacle)
    assert after(*stuck) == ("NEEDS_ATTENTION", [])
    assert after(*stuck, person("retry")) == ("REFUNDING", [REFUND])
    assert after(*stuck, person("skip")) == ("COMPLETING", [COMPLETE])
    assert after(*stuck, REFUNDED) == ("COMPLETING", [COMPLETE]), "late, but it came"


def test_when_the_whole_payment_has_gone_back_meanwhile_nothing_is_left_to_pay():
    gone = (*TO_THE_END[:3], refused("payments.refund_part", "NothingLeftToRefund"))
    assert after(*gone) == ("COMPLETING", [COMPLETE])
    assert after(*gone, COMPLETED) == ("COMPLETED", [])
    assert react(RETURNING, *gone, COMPLETED).state.note.startswith("nothing left to pay")
    assert after(*gone, gone[-1]) == ("COMPLETING", []), "a repeat changes nothing"


@pytest.mark.parametrize("code", ["MoreThanWasPaid", "NotRefundable", "NothingWasPaid"])
def test_what_is_refused_for_another_reason_needs_attention(code):
    assert after(*TO_THE_END[:3], refused("payments.refund_part", code)) == ("NEEDS_ATTENTION", [])


def test_a_person_gives_up_goods_and_takes_steps_as_done():
    assert after(REQUESTED, person("compensate")) == (
        "CLOSING",
        [CloseReturn("r1", "o1", "by helen: seen to")],
    )
    assert after(REQUESTED, person("retry")) == ("GOODS_PENDING", [])
    assert after(REQUESTED, CAME, person("skip"))[0] == "REFUNDING"
    assert after(REQUESTED, CAME, person("compensate")) == ("RESTOCKING", [])


@pytest.mark.parametrize("late", [RESTOCKED, REFUNDED, LAPSED, LATE])
@pytest.mark.parametrize("ended", [TO_THE_END, (REQUESTED, LATE, CLOSED)])
def test_once_it_is_over_an_answer_changes_nothing(ended, late):
    before, reaction = react(RETURNING, *ended).state, react(RETURNING, *ended, late)
    assert (reaction.state, list(reaction.commands)) == (before, [])


@pytest.mark.parametrize("count", [3, 4])
def test_an_answer_that_comes_twice_moves_it_once(count):
    assert after(*TO_THE_END[:count], TO_THE_END[count - 1])[1] == []


def test_restocking_of_no_return_begins_nothing():
    assert after(GoodsRestocked("b1", (StockLine("A", 1),))) == ("STARTED", [])
