import pytest

from eventstore.money import Money
from eventstore.testing import given
from payments.commands import (
    CompletePayment,
    CompleteRefund,
    FailPayment,
    ProcessPayment,
    RecordDispute,
    RecordRefund,
    RefundPart,
    RefundPayment,
)
from payments.events import (
    DisputeClosed,
    LatePaymentCompleted,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
)
from payments.payment import PAYMENT, MoreThanWasPaid, PaymentIsAnother

EURO, NOTHING = Money(100, "EUR"), Money(0, "EUR")
PROCESS, REFUND = ProcessPayment("o1", EURO, "tok_visa"), RefundPayment("o1", "cancelled")
REQUESTED = PaymentRequested("o1", EURO, "tok_visa")
COMPLETED = PaymentCompleted("o1", EURO, "ch_1")
FAILED = PaymentFailed("o1", "declined")
REFUNDING = RefundRequested("o1", EURO, "cancelled")
REFUNDED = PaymentRefunded("o1", EURO, "re_1")
VOIDED = PaymentVoided("o1", "cancelled")
LATE = LatePaymentCompleted("o1", EURO, "ch_2")

EVERY_STATE = {
    "requested": [REQUESTED],
    "completed": [REQUESTED, COMPLETED],
    "failed": [REQUESTED, FAILED],
    "refunding before it was taken": [REQUESTED, REFUNDING],
    "refunding": [REQUESTED, COMPLETED, REFUNDING],
    "refunded": [REQUESTED, COMPLETED, REFUNDING, REFUNDED],
    "voided": [VOIDED],
    "late": [REQUESTED, FAILED, LATE],
}


def test_a_payment_is_requested_of_the_gateway():
    given(PAYMENT).when(PROCESS).then(REQUESTED)


def test_where_there_is_nothing_to_pay_the_gateway_is_not_asked():
    given(PAYMENT).when(ProcessPayment("o1", NOTHING, "tok_visa")).then(
        PaymentCompleted("o1", NOTHING, "nothing-to-pay")
    )


@pytest.mark.parametrize("state", EVERY_STATE)
def test_it_is_requested_at_most_once(state):
    given(PAYMENT, *EVERY_STATE[state]).when(PROCESS).then()


def test_the_gateways_answer_completes_or_fails_it():
    given(PAYMENT, REQUESTED).when(CompletePayment("o1", "ch_1")).then(COMPLETED)
    given(PAYMENT, REQUESTED).when(FailPayment("o1", "declined")).then(FAILED)


@pytest.mark.parametrize("state", ["completed", "refunding", "refunded", "voided", "late"])
def test_an_answer_that_comes_twice_or_late_changes_nothing(state):
    given(PAYMENT, *EVERY_STATE[state]).when(CompletePayment("o1", "ch_2")).then()
    given(PAYMENT, *EVERY_STATE[state]).when(FailPayment("o1", "late")).then()


def test_money_that_is_taken_after_the_payment_failed_is_recorded_and_can_be_given_back():
    given(PAYMENT, REQUESTED, FAILED).when(CompletePayment("o1", "ch_2")).then(LATE)
    given(PAYMENT, REQUESTED, FAILED, LATE).when(REFUND).then(REFUNDING)
    asked_before = (REQUESTED, REFUNDING, FAILED)
    given(PAYMENT, *asked_before).when(FailPayment("o1", "again")).then()
    given(PAYMENT, *asked_before).when(CompletePayment("o1", "ch_2")).then(LATE)
    given(PAYMENT, *asked_before, LATE).when(CompleteRefund("o1", 0, "nothing-taken")).then()
    given(PAYMENT, *asked_before, LATE).when(REFUND).then(REFUNDING)


class TestWhatMovesAtTheGatewayItself:
    OUTSIDE = PaymentRefundedOutside("o1", Money(40, "EUR"), "re_9")
    DISPUTED = PaymentDisputed("o1", EURO, "dp_1", "fraudulent")

    def test_a_refund_that_we_did_not_ask_for_is_recorded_once_and_not_given_back_again(self):
        command = RecordRefund("o1", 40, "re_9")
        given(PAYMENT, REQUESTED, COMPLETED).when(command).then(self.OUTSIDE)
        given(PAYMENT, REQUESTED, COMPLETED, self.OUTSIDE).when(command).then()
        rest = RefundRequested("o1", Money(60, "EUR"), "cancelled")
        given(PAYMENT, REQUESTED, COMPLETED, self.OUTSIDE).when(REFUND).then(rest)
        part = RefundPart("o1", "r1", Money(61, "EUR"), "return")
        given(PAYMENT, REQUESTED, COMPLETED, self.OUTSIDE).when(part).refused(MoreThanWasPaid)

    def test_what_we_have_asked_for_is_done_when_all_of_it_has_gone_by_another_way(self):
        whole = PaymentRefundedOutside("o1", EURO, "re_9")
        done = PaymentRefunded("o1", NOTHING, "refunded-outside")
        given(PAYMENT, REQUESTED, COMPLETED, REFUNDING).when(RecordRefund("o1", 100, "re_9")).then(
            whole, done
        )
        given(PAYMENT, REQUESTED, COMPLETED, REFUNDING).when(RecordRefund("o1", 40, "re_9")).then(
            self.OUTSIDE
        )
        given(PAYMENT, REQUESTED, COMPLETED, whole).when(REFUND).then(
            PaymentRefunded("o1", NOTHING, "nothing-to-refund")
        )

    def test_a_dispute_holds_the_money_until_it_is_won(self):
        command = RecordDispute("o1", 100, "dp_1", "fraudulent")
        given(PAYMENT, REQUESTED, COMPLETED).when(command).then(self.DISPUTED)
        given(PAYMENT, REQUESTED, COMPLETED, self.DISPUTED).when(command).then()
        given(PAYMENT, REQUESTED, COMPLETED, self.DISPUTED).when(REFUND).then(
            PaymentRefunded("o1", NOTHING, "nothing-to-refund")
        )
        won = DisputeClosed("o1", EURO, "dp_1", won=True)
        given(PAYMENT, REQUESTED, COMPLETED, self.DISPUTED, won).when(REFUND).then(REFUNDING)

    @pytest.mark.parametrize("outcome", ["won", "lost"])
    def test_its_end_may_be_told_first_and_is_recorded_once(self, outcome):
        ended = RecordDispute("o1", 100, "dp_1", "fraudulent", outcome)
        closed = DisputeClosed("o1", EURO, "dp_1", won=outcome == "won")
        given(PAYMENT, REQUESTED, COMPLETED).when(ended).then(self.DISPUTED, closed)
        given(PAYMENT, REQUESTED, COMPLETED, self.DISPUTED).when(ended).then(closed)
        for again in (ended, RecordDispute("o1", 100, "dp_1", "fraudulent")):
            given(PAYMENT, REQUESTED, COMPLETED, self.DISPUTED, closed).when(again).then()


def test_an_answer_that_nobody_asked_for_changes_nothing():
    given(PAYMENT).when(CompletePayment("o1", "ch_2")).then()
    given(PAYMENT).when(FailPayment("o1", "late")).then()
    given(PAYMENT).when(CompleteRefund("o1", 100, "re_1")).then()


def test_a_completed_payment_is_given_back():
    given(PAYMENT, REQUESTED, COMPLETED).when(REFUND).then(REFUNDING)
    given(PAYMENT, REQUESTED, COMPLETED, REFUNDING).when(CompleteRefund("o1", 100, "re_1")).then(
        REFUNDED
    )


@pytest.mark.parametrize(
    "state", ["failed", "refunding before it was taken", "refunding", "refunded", "voided"]
)
def test_it_is_asked_back_at_most_once_and_only_if_there_is_something_to_give(state):
    given(PAYMENT, *EVERY_STATE[state]).when(REFUND).then()


def test_a_refund_that_is_answered_twice_counts_once():
    given(PAYMENT, *EVERY_STATE["refunded"]).when(CompleteRefund("o1", 100, "re_1")).then()


def test_a_refund_before_the_payment_is_a_tombstone_and_no_payment_follows():
    given(PAYMENT).when(REFUND).then(VOIDED)
    given(PAYMENT, VOIDED).when(PROCESS).then()


def test_a_refund_may_be_asked_for_while_the_charge_is_under_way():
    given(PAYMENT, REQUESTED).when(REFUND).then(REFUNDING)
    given(PAYMENT, REQUESTED, REFUNDING).when(CompletePayment("o1", "ch_1")).then(COMPLETED)
    given(PAYMENT, REQUESTED, REFUNDING, COMPLETED).when(CompleteRefund("o1", 100, "re_1")).then(
        REFUNDED
    )


def test_if_that_charge_fails_there_is_nothing_to_give_back():
    given(PAYMENT, REQUESTED, REFUNDING).when(FailPayment("o1", "declined")).then(FAILED)
    given(PAYMENT, REQUESTED, REFUNDING, FAILED).when(CompleteRefund("o1", 0, "re_1")).then()


def test_a_refund_is_not_complete_before_the_charge_is():
    given(PAYMENT, REQUESTED, REFUNDING).when(CompleteRefund("o1", 100, "re_1")).then()


def test_what_cost_nothing_is_given_back_without_the_gateway():
    free = PaymentCompleted("o1", NOTHING, "nothing-to-pay")
    given(PAYMENT, free).when(REFUND).then(PaymentRefunded("o1", NOTHING, "nothing-to-refund"))


def test_what_the_gateway_gave_back_is_recorded_as_it_says():
    given(PAYMENT, *EVERY_STATE["refunding"]).when(CompleteRefund("o1", 60, "re_1")).then(
        PaymentRefunded("o1", Money(60, "EUR"), "re_1")
    )


@pytest.mark.parametrize("state", ["requested", "completed", "refunding", "refunded"])
@pytest.mark.parametrize(
    "other", [ProcessPayment("o1", Money(101, "EUR"), "tok_visa"), ProcessPayment("o1", EURO, "x")]
)
def test_another_payment_of_the_same_order_is_no_repeat(state, other):
    given(PAYMENT, *EVERY_STATE[state]).when(other).refused(PaymentIsAnother)
