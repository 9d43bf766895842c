"""The saga of an order: forward step by step, back in reverse; an answer to another step changes
nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from eventstore.messages import CommandRefused, DeadlinePassed, Intervened, replace
from eventstore.money import Money
from eventstore.testing import react
from inventory.commands import ReleaseInventory, ReserveInventory, StockLine
from inventory.events import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    Shortage,
)
from orders.commands import CancelOrder, ConfirmOrder
from orders.events import (
    Charge,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    OrderRefundRequested,
)
from orders.order.saga import FULFILMENT, PATIENCE
from payments.commands import ProcessPayment, RefundPayment
from payments.events import (
    DisputeClosed,
    LatePaymentCompleted,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
    PaymentVoided,
)
from shipping.commands import Address, CancelShipment, CreateShipment
from shipping.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentLost,
    ShipmentRefused,
    ShipmentReturned,
    ShipmentShipped,
)

TOTAL, ADDRESS = Money(300, "EUR"), Address("Ada")
PLACED = OrderPlaced(
    "o1",
    "c1",
    (OrderLine("A", "Apple", 3, 100),),
    (),
    TOTAL,
    ADDRESS,
    "tok_visa",
    datetime(2026, 1, 1, tzinfo=UTC),
)
LINES = (StockLine("A", 3),)
PAID, RESERVED = PaymentCompleted("o1", TOTAL, "ch_1"), InventoryReserved("o1", LINES)
CREATED, CONFIRMED = ShipmentCreated("o1", "SB1"), OrderConfirmed("o1")
DECLINED, SHORT = (
    PaymentFailed("o1", "declined"),
    InventoryReservationFailed("o1", (Shortage("A", 3, 1),)),
)
NOT_SERVED, CANCELLED = ShipmentRefused("o1", "not served"), OrderCancelled("o1", "changed my mind")
CALLED_OFF, RELEASED = ShipmentCancelled("o1"), InventoryReleased("o1", LINES)
REFUNDED, VOIDED = PaymentRefunded("o1", TOTAL, "re_1"), PaymentVoided("o1", "changed my mind")

LATE = DeadlinePassed("o1", datetime(2026, 1, 1, tzinfo=UTC), 1)
TO_CONFIRMING = (PLACED, PAID, RESERVED, CREATED)


def after(*events):
    """The status, and the commands of the last reaction."""
    reaction = react(FULFILMENT, *events)
    return reaction.state.status, list(reaction.commands)


class TestForward:
    def test_step_by_step_an_order_is_paid_reserved_shipped_and_confirmed(self):
        steps = [
            (PLACED, "PAYMENT_PENDING", ProcessPayment("o1", TOTAL, "tok_visa")),
            (PAID, "INVENTORY_PENDING", ReserveInventory("o1", LINES)),
            (RESERVED, "SHIPPING_PENDING", CreateShipment("o1", ADDRESS)),
            (CREATED, "CONFIRMING", ConfirmOrder("o1")),
        ]
        for count, (_, status, command) in enumerate(steps, start=1):
            assert after(*(event for event, _, _ in steps[:count])) == (status, [command])
        assert after(*TO_CONFIRMING, CONFIRMED) == ("COMPLETED", [])

    def test_an_order_of_nothing_but_charges_is_paid_and_confirmed(self):
        fee = replace(PLACED, lines=(), charges=(Charge("FEE", "Fee", 1, 300),))
        assert after(fee, PAID) == ("CONFIRMING", [ConfirmOrder("o1")])
        assert after(fee, PAID, CONFIRMED) == ("COMPLETED", [])


class TestBack:
    def test_a_declined_payment_cancels_the_order(self):
        assert after(PLACED, DECLINED) == (
            "COMPENSATING",
            [CancelOrder("o1", "payment failed: declined")],
        )
        assert after(PLACED, DECLINED, CANCELLED) == ("COMPENSATED", [])

    def test_missing_stock_gives_the_money_back_then_cancels_the_order(self):
        failed = (PLACED, PAID, SHORT)
        assert after(*failed) == ("COMPENSATING", [RefundPayment("o1", "out of stock: A")])
        assert after(*failed, REFUNDED) == ("COMPENSATING", [CancelOrder("o1", "out of stock: A")])
        assert after(*failed, REFUNDED, CANCELLED) == ("COMPENSATED", [])

    def test_a_refused_parcel_gives_stock_then_money_back_then_cancels_the_order(self):
        failed = (PLACED, PAID, RESERVED, NOT_SERVED)
        reason = "shipping refused: not served"
        assert after(*failed) == ("COMPENSATING", [ReleaseInventory("o1", LINES)])
        assert after(*failed, RELEASED) == ("COMPENSATING", [RefundPayment("o1", reason)])
        assert after(*failed, RELEASED, REFUNDED) == ("COMPENSATING", [CancelOrder("o1", reason)])
        assert after(*failed, RELEASED, REFUNDED, CANCELLED) == ("COMPENSATED", [])

    def test_a_customer_who_cancels_has_everything_undone_in_reverse(self):
        cancelled = (*TO_CONFIRMING, CANCELLED)
        assert after(*cancelled) == ("COMPENSATING", [CancelShipment("o1", "changed my mind")])
        assert after(*cancelled, CALLED_OFF) == ("COMPENSATING", [ReleaseInventory("o1", LINES)])
        assert after(*cancelled, CALLED_OFF, RELEASED) == (
            "COMPENSATING",
            [RefundPayment("o1", "changed my mind")],
        )
        assert after(*cancelled, CALLED_OFF, RELEASED, REFUNDED) == ("COMPENSATED", [])

    @pytest.mark.parametrize(
        ("done", "undo"),
        [
            ((PLACED,), RefundPayment("o1", "changed my mind")),
            ((PLACED, PAID), ReleaseInventory("o1", LINES)),
            ((PLACED, PAID, RESERVED), CancelShipment("o1", "changed my mind")),
        ],
    )
    def test_whatever_was_asked_for_is_undone_whether_or_not_it_was_answered(self, done, undo):
        assert after(*done, CANCELLED) == ("COMPENSATING", [undo])

    @pytest.mark.parametrize("undone", [REFUNDED, VOIDED, DECLINED])
    def test_a_payment_is_undone_by_whatever_says_that_nothing_was_kept(self, undone):
        assert after(PLACED, CANCELLED, undone) == ("COMPENSATED", [])

    def test_what_failed_by_itself_need_not_be_undone(self):
        assert after(PLACED, PAID, CANCELLED, SHORT) == (
            "COMPENSATING",
            [RefundPayment("o1", "changed my mind")],
        )
        undone = (PLACED, PAID, RESERVED, CANCELLED, NOT_SERVED)
        assert after(*undone) == ("COMPENSATING", [ReleaseInventory("o1", LINES)])

    def test_the_first_reason_is_the_one_that_stays(self):
        state = react(FULFILMENT, PLACED, PAID, SHORT, CANCELLED).state
        assert state.reason == "out of stock: A"


class TestOutOfTurn:
    @pytest.mark.parametrize(
        "ended",
        [
            (*TO_CONFIRMING, CANCELLED, CALLED_OFF, RELEASED, REFUNDED),
            (PLACED, DECLINED, CANCELLED),
        ],
    )
    @pytest.mark.parametrize(
        "late", [PAID, RESERVED, CREATED, CALLED_OFF, RELEASED, REFUNDED, VOIDED]
    )
    def test_once_all_is_undone_an_answer_changes_nothing(self, ended, late):
        before, reaction = react(FULFILMENT, *ended).state, react(FULFILMENT, *ended, late)
        assert (reaction.state, list(reaction.commands)) == (before, [])

    @pytest.mark.parametrize("late", [PAID, RESERVED, CREATED, REFUNDED])
    def test_once_it_is_completed_an_answer_changes_nothing(self, late):
        ended = (*TO_CONFIRMING, CONFIRMED)
        before, reaction = react(FULFILMENT, *ended).state, react(FULFILMENT, *ended, late)
        assert (reaction.state, list(reaction.commands)) == (before, [])

    @pytest.mark.parametrize("count", [1, 2, 3, 4])
    def test_an_answer_that_comes_twice_moves_the_process_once(self, count):
        events = TO_CONFIRMING[:count]
        if count > 1:
            assert after(*events, events[-1])[1] == []
            assert react(FULFILMENT, *events, events[-1]).state == react(FULFILMENT, *events).state

    def test_a_late_success_while_compensating_does_not_go_forward(self):
        assert after(PLACED, CANCELLED, PAID)[1] == []
        assert after(PLACED, PAID, CANCELLED, RESERVED)[1] == []
        assert after(PLACED, PAID, RESERVED, CANCELLED, CREATED)[1] == []

    @pytest.mark.parametrize("repeated", [CALLED_OFF, RELEASED])
    def test_an_undo_that_is_answered_twice_leads_to_one_next_undo(self, repeated):
        undone = (*TO_CONFIRMING, CANCELLED, CALLED_OFF) + (
            (RELEASED,) if repeated is RELEASED else ()
        )
        assert after(*undone)[1] != []
        assert after(*undone, repeated)[1] == []


class TestRefused:
    def refused(self, command):
        return CommandRefused("o1", command, "Refused", "")

    def test_a_confirmation_that_lost_to_a_cancellation_waits_for_it_to_be_heard(self):
        lost = (*TO_CONFIRMING, self.refused("orders.confirm_order"))
        assert after(*lost) == ("CONFIRMING", [])
        assert after(*lost, CANCELLED) == (
            "COMPENSATING",
            [CancelShipment("o1", "changed my mind")],
        )

    def test_any_other_refusal_calls_for_a_person_who_may_see_to_it_by_other_means(self):
        refused = (*TO_CONFIRMING, CANCELLED, self.refused("shipping.cancel_shipment"))
        state = react(FULFILMENT, *refused).state
        assert (state.status, state.reason) == (
            "NEEDS_ATTENTION",
            "shipping.cancel_shipment was refused: Refused",
        )
        sent_back = Intervened("o1", "skip", "the parcel comes back", "grace")
        assert after(*refused, sent_back) == ("COMPENSATING", [ReleaseInventory("o1", LINES)])


class TestTurningBackLate:
    """An order may become confirmed once its confirmation is sent: the order decides before any
    step
    is undone."""

    TURN_BACK = Intervened("o1", "compensate", "suspicious", "grace")
    TOO_LATE = CommandRefused("o1", "orders.cancel_order", "OrderNotOpen", "")

    def test_the_order_is_cancelled_before_anything_is_undone(self):
        turned = (*TO_CONFIRMING, self.TURN_BACK)
        reason = "by grace: suspicious"
        assert after(*turned) == ("COMPENSATING", [CancelOrder("o1", reason)])
        assert after(*turned, CANCELLED) == ("COMPENSATING", [CancelShipment("o1", reason)])

    def test_an_order_that_was_confirmed_first_stays_so_and_keeps_its_goods(self):
        turned = (*TO_CONFIRMING, self.TURN_BACK, CONFIRMED)
        assert after(*turned) == ("COMPLETED", [])
        assert after(*turned, self.TOO_LATE) == ("COMPLETED", [])

    def test_nobody_can_say_for_the_order_which_of_the_two_it_was(self):
        skipped = Intervened("o1", "skip", "surely cancelled", "grace")
        assert after(*TO_CONFIRMING, self.TURN_BACK, skipped, CONFIRMED) == ("COMPLETED", [])


class TestPatience:
    """The saga waits for a payment as long as its method takes, and for other steps the usual
    time."""

    @pytest.mark.parametrize(
        ("method", "days"),
        [
            ("tok_bank_slip", 5),
            ("bank_slip_4711", 5),
            ("tok_bank_debit", 14),
            ("tok_bank_transfer", 7),
        ],
    )
    def test_a_slow_method_is_waited_for(self, method, days):
        assert react(FULFILMENT, replace(PLACED, payment_method=method)).deadline == timedelta(
            days=days
        )

    @pytest.mark.parametrize("method", ["tok_visa", "pm_1Nx", "tok_late"])
    def test_a_card_decides_in_minutes(self, method):
        assert react(FULFILMENT, replace(PLACED, payment_method=method)).deadline == PATIENCE

    def test_once_more_it_is_asked_and_then_undone(self):
        slip = replace(PLACED, payment_method="tok_bank_slip")
        again = react(FULFILMENT, slip, LATE)
        assert (again.state.status, again.deadline) == ("PAYMENT_PENDING", PATIENCE)
        undone = react(FULFILMENT, slip, LATE, LATE)
        assert (undone.state.status, list(undone.commands)) == (
            "COMPENSATING",
            [RefundPayment("o1", "no answer: PAYMENT_PENDING")],
        )

    def test_what_follows_the_payment_is_not_slow_for_it(self):
        slip = replace(PLACED, payment_method="tok_bank_slip")
        assert react(FULFILMENT, slip, PAID).deadline == PATIENCE


class TestARefundOfAConfirmedOrder:
    DONE = (*TO_CONFIRMING, CONFIRMED)
    ASKED = OrderRefundRequested("o1", "goodwill", recalled=True)
    LEFT_BEFORE = CommandRefused("o1", "shipping.cancel_shipment", "ShipmentAlreadyShipped", "")

    def test_the_parcel_is_called_back_then_the_goods_then_the_money(self):
        requested = (*self.DONE, self.ASKED)
        assert after(*requested) == ("COMPENSATING", [CancelShipment("o1", "goodwill")])
        assert after(*requested, CALLED_OFF) == ("COMPENSATING", [ReleaseInventory("o1", LINES)])
        assert after(*requested, CALLED_OFF, RELEASED) == (
            "COMPENSATING",
            [RefundPayment("o1", "goodwill")],
        )
        assert after(*requested, CALLED_OFF, RELEASED, REFUNDED) == ("COMPENSATED", [])

    def test_what_had_left_before_or_is_in_a_return_is_the_customers(self):
        refund = ("COMPENSATING", [RefundPayment("o1", "goodwill")])
        assert after(*self.DONE, self.ASKED, self.LEFT_BEFORE) == refund
        assert after(*self.DONE, replace(self.ASKED, recalled=False)) == refund
        kept = (*self.DONE, self.ASKED, self.LEFT_BEFORE, REFUNDED)
        assert after(*kept, ShipmentDelivered("o1")) == ("COMPENSATED", [])

    def test_one_that_leaves_while_it_is_called_back_calls_for_a_person(self):
        left = (*self.DONE, self.ASKED, ShipmentShipped("o1"))
        assert after(*left) == ("NEEDS_ATTENTION", [])
        assert after(*left, self.LEFT_BEFORE) == ("NEEDS_ATTENTION", [])
        assert after(*left, ShipmentReturned("o1")) == (
            "COMPENSATING",
            [ReleaseInventory("o1", LINES)],
        )
        assert after(*left, ShipmentLost("o1")) == (
            "COMPENSATING",
            [RefundPayment("o1", "goodwill")],
        )


class TestFactsThatDoNotFit:
    UNDONE = (*TO_CONFIRMING, CANCELLED, CALLED_OFF, RELEASED, REFUNDED)
    SKIP = Intervened("o1", "skip", "seen to", "grace")

    def beneath(self, *events):
        state = react(FULFILMENT, *events).state
        assert state.status == "NEEDS_ATTENTION"
        assert state.fact
        return state.beneath

    @pytest.mark.parametrize("fact", [ShipmentShipped("o1"), ShipmentDelivered("o1")])
    def test_a_parcel_of_an_order_that_is_undone(self, fact):
        assert self.beneath(*self.UNDONE, fact) == "COMPENSATED"
        assert after(*self.UNDONE, fact, self.SKIP) == ("COMPENSATED", [])

    def test_a_parcel_that_was_never_booked(self):
        assert self.beneath(PLACED, ShipmentShipped("o1")) == "PAYMENT_PENDING"
        assert self.beneath(PLACED, ShipmentShipped("o1"), PAID) == "INVENTORY_PENDING"

    def test_one_whose_booking_has_no_answer_yet_is_no_such_fact(self):
        booking = (PLACED, PAID, RESERVED, ShipmentShipped("o1"))
        assert after(*booking)[0] == "SHIPPING_PENDING"
        assert after(*booking, CREATED) == ("CONFIRMING", [ConfirmOrder("o1")])

    @pytest.mark.parametrize("fact", [ShipmentLost("o1"), ShipmentReturned("o1")])
    def test_a_parcel_of_a_confirmed_order_that_does_not_arrive(self, fact):
        assert self.beneath(*TO_CONFIRMING, CONFIRMED, fact) == "COMPLETED"
        refund = OrderRefundRequested("o1", "lost", recalled=True)
        undo = (
            RefundPayment("o1", "lost")
            if isinstance(fact, ShipmentLost)
            else ReleaseInventory("o1", LINES)
        )
        assert after(*TO_CONFIRMING, CONFIRMED, fact, refund)[1] == [undo]

    def test_money_that_comes_after_the_payment_failed_goes_back_and_a_person_is_told(self):
        late = (PLACED, DECLINED, CANCELLED, LatePaymentCompleted("o1", TOTAL, "ch_1"))
        assert self.beneath(*late) == "COMPENSATING"
        assert after(*late)[1] == [RefundPayment("o1", "payment failed: declined")]
        assert self.beneath(*late, REFUNDED) == "COMPENSATED"

    def test_money_that_moves_at_the_provider(self):
        done = (*TO_CONFIRMING, CONFIRMED)
        assert self.beneath(*done, PaymentRefundedOutside("o1", TOTAL, "re_9")) == "COMPLETED"
        disputed = PaymentDisputed("o1", TOTAL, "dp_1", "fraudulent")
        assert self.beneath(*done, disputed) == "COMPLETED"
        won = DisputeClosed("o1", TOTAL, "dp_1", won=True)
        assert after(*done, disputed, self.SKIP, won) == ("COMPLETED", [])
        assert self.beneath(*self.UNDONE, won) == "COMPENSATED"
