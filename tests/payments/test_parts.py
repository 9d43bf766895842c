"""Partial refunds: each part once, never more than was paid, in any order of messages."""

import pytest

from eventstore.messages import InvalidMessage, replace
from eventstore.money import Money
from eventstore.testing import given
from payments.commands import (
    CompletePartRefund,
    CompletePayment,
    CompleteRefund,
    FailPartRefund,
    FailPayment,
    ProcessPayment,
    RefundPart,
    RefundPayment,
)
from payments.events import (
    PartRefunded,
    PartRefundLapsed,
    PartRefundPromised,
    PartRefundRequested,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
)
from payments.limits import OF
from payments.payment import (
    PAYMENT,
    MoreThanWasPaid,
    NothingLeftToRefund,
    NothingWasPaid,
    NotRefundable,
    RefundIsAnother,
    limited,
)

EURO = Money(100, "EUR")
REQUESTED, COMPLETED = (
    PaymentRequested("o1", EURO, "tok_visa"),
    PaymentCompleted("o1", EURO, "ch_1"),
)
WHOLE = RefundPayment("o1", "cancelled")


def part(refund_id="r1", amount=30, currency="EUR"):
    return RefundPart("o1", refund_id, Money(amount, currency), "return")


def requested_part(refund_id="r1", amount=30):
    return PartRefundRequested("o1", refund_id, Money(amount, "EUR"), "return")


def promised(refund_id="r1", amount=30):
    return PartRefundPromised("o1", refund_id, Money(amount, "EUR"), "return")


def back(refund_id="r1", amount=30):
    return PartRefunded("o1", refund_id, Money(amount, "EUR"), "re_1")


def lapsed(reason, refund_id="r1"):
    return PartRefundLapsed("o1", refund_id, reason)


def test_a_part_of_a_payment_is_asked_for_and_given_back():
    given(PAYMENT, REQUESTED, COMPLETED).when(part()).then(requested_part())
    given(PAYMENT, REQUESTED, COMPLETED, requested_part()).when(
        CompletePartRefund("o1", "r1", 30, "re_1")
    ).then(back())


@pytest.mark.parametrize("before", [[requested_part()], [requested_part(), back()]])
def test_a_part_that_is_asked_for_twice_is_given_once(before):
    given(PAYMENT, REQUESTED, COMPLETED, *before).when(part()).then()


def test_an_answer_that_comes_twice_or_that_nobody_asked_for_changes_nothing():
    given(PAYMENT, REQUESTED, COMPLETED, requested_part(), back()).when(
        CompletePartRefund("o1", "r1", 30, "re_2")
    ).then()
    given(PAYMENT, REQUESTED, COMPLETED).when(CompletePartRefund("o1", "r1", 30, "re_2")).then()
    given(PAYMENT, REQUESTED, promised()).when(CompletePartRefund("o1", "r1", 30, "re_2")).then()


def test_parts_may_come_to_all_that_was_paid_and_not_to_a_cent_more():
    history = (
        REQUESTED,
        COMPLETED,
        requested_part("r1", 60),
        back("r1", 60),
        requested_part("r2", 30),
    )
    given(PAYMENT, *history).when(part("r3", 10)).then(requested_part("r3", 10))
    given(PAYMENT, *history).when(part("r3", 11)).refused(MoreThanWasPaid)
    given(PAYMENT, *history).when(part("r3", 10, "GBP")).refused(MoreThanWasPaid)


@pytest.mark.parametrize("amount", [0, -5])
def test_nothing_and_less_is_no_part(amount):
    with pytest.raises(InvalidMessage):
        part("r1", amount)


@pytest.mark.parametrize(
    "over",
    [
        [REQUESTED, COMPLETED, RefundRequested("o1", EURO, "cancelled")],
        [
            REQUESTED,
            COMPLETED,
            RefundRequested("o1", EURO, "cancelled"),
            PaymentRefunded("o1", EURO, "re_1"),
        ],
    ],
)
def test_where_nothing_is_left_no_part_of_it_is(over):
    given(PAYMENT, *over).when(part()).refused(NothingLeftToRefund)


@pytest.mark.parametrize(
    "over", [[REQUESTED, PaymentFailed("o1", "declined")], [PaymentVoided("o1", "cancelled")]]
)
def test_what_was_never_paid_is_told_from_what_has_gone_back(over):
    given(PAYMENT, *over).when(part()).refused(NothingWasPaid)


class TestBeforeTheMoneyIsIn:
    """The gateway is not requested_part for a refund before the charge completes."""

    @pytest.mark.parametrize("history", [[], [REQUESTED]])
    def test_a_part_is_promised(self, history):
        given(PAYMENT, *history).when(part()).then(promised())

    def test_the_promise_is_kept_when_it_comes(self):
        history = (promised("r1", 30), REQUESTED, promised("r2", 70))
        given(PAYMENT, *history).when(CompletePayment("o1", "ch_1")).then(
            COMPLETED, requested_part("r1", 30), requested_part("r2", 70)
        )
        given(
            PAYMENT, *history, COMPLETED, requested_part("r1", 30), requested_part("r2", 70)
        ).when(part("r3", 1)).refused(MoreThanWasPaid)

    def test_no_more_is_promised_than_is_asked_of_the_customer(self):
        given(PAYMENT, REQUESTED, promised("r1", 70)).when(part("r2", 31)).refused(MoreThanWasPaid)

    def test_a_promise_of_more_than_came_in_lapses(self):
        history = (promised("r1", 70), promised("r2", 31), REQUESTED)
        reason = "no more than 1.00 EUR was paid"
        given(PAYMENT, *history).when(CompletePayment("o1", "ch_1")).then(
            COMPLETED, requested_part("r1", 70), lapsed(reason, "r2")
        )
        free = PaymentCompleted("o1", Money(0, "EUR"), "nothing-to-pay")
        given(PAYMENT, promised()).when(ProcessPayment("o1", Money(0, "EUR"), "tok_visa")).then(
            free, lapsed("no more than 0.00 EUR was paid")
        )

    def test_if_it_never_comes_the_promise_lapses(self):
        given(PAYMENT, REQUESTED, promised()).when(FailPayment("o1", "declined")).then(
            PaymentFailed("o1", "declined"), lapsed("the payment failed")
        )


class TestWithTheWhole:
    def test_the_whole_is_what_the_parts_have_left(self):
        history = (
            REQUESTED,
            COMPLETED,
            requested_part("r1", 60),
            back("r1", 60),
            requested_part("r2", 30),
        )
        given(PAYMENT, *history).when(WHOLE).then(
            RefundRequested("o1", Money(10, "EUR"), "cancelled")
        )

    def test_when_the_parts_have_left_nothing_the_gateway_is_not_asked(self):
        history = (REQUESTED, COMPLETED, requested_part("r1", 100))
        given(PAYMENT, *history).when(WHOLE).then(
            PaymentRefunded("o1", Money(0, "EUR"), "nothing-to-refund")
        )

    def test_a_part_under_way_is_answered_after_the_whole_too(self):
        rest = Money(70, "EUR")
        history = (
            REQUESTED,
            COMPLETED,
            requested_part(),
            RefundRequested("o1", rest, "x"),
            PaymentRefunded("o1", rest, "re_2"),
        )
        given(PAYMENT, *history).when(CompletePartRefund("o1", "r1", 30, "re_1")).then(back())
        given(
            PAYMENT, REQUESTED, COMPLETED, requested_part(), RefundRequested("o1", rest, "x")
        ).when(CompleteRefund("o1", 70, "re_2")).then(PaymentRefunded("o1", rest, "re_2"))

    @pytest.mark.parametrize(
        ("history", "event"),
        [
            ([], PaymentVoided("o1", "cancelled")),
            ([REQUESTED], RefundRequested("o1", EURO, "cancelled")),
        ],
    )
    def test_a_promise_lapses_when_all_is_taken_back_first(self, history, event):
        given(PAYMENT, *history, promised()).when(WHOLE).then(
            event, lapsed("the whole payment goes back")
        )


@pytest.mark.parametrize(
    "before",
    [
        [promised()],
        [REQUESTED, COMPLETED, requested_part()],
        [REQUESTED, COMPLETED, requested_part(), back()],
    ],
)
def test_another_amount_under_the_same_name_is_no_repeat(before):
    given(PAYMENT, *before).when(part()).then()
    given(PAYMENT, *before).when(part(amount=31)).refused(RefundIsAnother)
    given(PAYMENT, *before).when(part(currency="USD")).refused(RefundIsAnother)


class TestWhatTheProviderCannot:
    KUWAIT = (
        PaymentRequested("o1", Money(2470, "KWD"), "pm_1"),
        PaymentCompleted("o1", Money(2470, "KWD"), "pi_1"),
    )
    HALF = RefundPart("o1", "r1", Money(1235, "KWD"), "return")

    def test_is_refused_before_it_is_written_and_the_whole_goes_back(self):
        payment = limited(OF["stripe"].refund)
        given(payment, *self.KUWAIT).when(self.HALF).refused(NotRefundable)
        given(payment, *self.KUWAIT).when(WHOLE).then(
            RefundRequested("o1", Money(2470, "KWD"), "cancelled")
        )
        whole = replace(self.HALF, amount=Money(2470, "KWD"))
        given(payment, *self.KUWAIT).when(whole).then(
            PartRefundRequested("o1", "r1", Money(2470, "KWD"), "return")
        )

    def test_is_no_matter_to_another(self):
        requested_part = PartRefundRequested("o1", "r1", Money(1235, "KWD"), "return")
        given(limited(OF["sandbox"].refund), *self.KUWAIT).when(self.HALF).then(requested_part)

    def test_is_an_answer_where_it_is_known_only_then_and_the_rest_is_free_again(self):
        failed = FailPartRefund("o1", "r1", "too old")
        given(PAYMENT, REQUESTED, COMPLETED, requested_part()).when(failed).then(lapsed("too old"))
        given(PAYMENT, REQUESTED, COMPLETED, requested_part(), lapsed("too old")).when(
            failed
        ).then()
        given(PAYMENT, REQUESTED, COMPLETED, requested_part(), lapsed("too old")).when(WHOLE).then(
            RefundRequested("o1", EURO, "cancelled")
        )


@pytest.mark.parametrize(
    ("amount", "why"),
    [
        (Money(1235, "KWD"), "cannot be moved exactly"),
        (Money(500, "ISK", 2), ""),
        (Money(550, "ISK", 2), "cannot be moved exactly"),
        (Money(1005, "GBP", 3), "cannot be moved exactly"),
        (Money(49, "EUR"), "below the provider's minimum"),
        (Money(49, "JPY"), "below the provider's minimum"),
        (Money(50, "JPY"), ""),
        (Money(0, "EUR"), ""),
        (Money(1230, "KWD"), ""),
    ],
)
def test_the_door_knows_what_stripe_takes(amount, why):
    refusal = OF["stripe"].charge(amount)
    assert why in refusal if why else refusal == ""
    assert OF["sandbox"].charge is None
