"""Simulated shops with any order, delay, repetition and failure of messages, and any commands.

Money, goods and parcel are where the order's state says, or an operator is called; nothing waits
for ever. `make simulate` runs more seeds. seeds.txt has those that once failed.
"""

from collections import Counter
from pathlib import Path

import pytest

from config.wiring import PROCESSES
from eventstore.messages import CommandRefused, replace
from eventstore.subscriptions import Reaction
from orders.events import OrderCancelled, OrderRefundRequested
from orders.order.saga import FULFILMENT
from payments.events import LatePaymentCompleted, PaymentRefundedOutside, RefundRequested
from shipping.events import ShipmentCreated, ShipmentShipped
from tools.verification.simulation.facts import FACTS
from tools.verification.simulation.lives import ORDERS, live
from tools.verification.simulation.outside import Outside

ONCE_FAILED = [
    line.split() for line in Path(__file__).with_name("seeds.txt").read_text().splitlines()
]


@pytest.mark.parametrize("process", PROCESSES)
def test_of_hundreds_of_shops_none_is_left_with_anything_open(process):
    ends, accepted = Counter(), Counter()
    for seed in range(300):
        try:
            world = live(process, seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed} of {process}: {error}") from None
        ends.update(world.state(f"order-{order_id}").status for order_id in ORDERS)
        ends["seen to by a person"] += len(world.seen_to)
        accepted += world.accepted
    assert min(ends["confirmed"], ends["cancelled"]) > 100, (
        "both ends must have been seen, or this proves nothing"
    )
    assert ends["seen to by a person"] < 300, (
        "of too many a person vouches for what was not looked at"
    )
    unheard = {each.__name__ for each in FACTS.values()} - set(accepted)
    assert not unheard, f"never sent or never accepted: {unheard}"


@pytest.mark.parametrize(("process", "seed"), ONCE_FAILED)
def test_a_seed_that_once_failed_does_not_fail_again(process, seed):
    live(process, int(seed))


def test_the_same_seed_is_the_same_life():
    assert live("orchestration", 7).log == live("orchestration", 7).log


class TestItWouldFind:
    """Each of these was a mistake once, or could be one; the simulator finds it within a few
    hundred seeds."""

    def test_a_payment_that_completes_after_the_cancellation_and_is_not_refunded(self):
        def forgets_the_payment(saga, event):
            under_way = saga.status != "PAYMENT_PENDING"
            return FULFILMENT.react[OrderCancelled](
                replace(saga, payment=saga.payment and under_way), event
            )

        assert _found(_with({OrderCancelled: forgets_the_payment}), "the provider holds")

    def test_an_order_that_is_undone_although_it_may_be_confirmed_any_moment(self):
        def forgets_that_it_asked(saga, event):
            state, commands, deadline = FULFILMENT.react[ShipmentCreated](saga, event)
            return Reaction(replace(state, order="open"), commands, deadline)

        assert _found(_with({ShipmentCreated: forgets_that_it_asked}), "has no parcel")

    def test_a_parcel_that_leaves_while_it_is_called_off_and_nobody_is_called(self):
        def looks_away(saga, event):
            return (
                FULFILMENT.react[ShipmentShipped](saga, event)
                if saga.order != "cancelled"
                else Reaction(saga)
            )

        deaf = {
            ShipmentShipped: looks_away,
            CommandRefused: lambda saga, event: _waits_no_more(saga),
        }
        assert _found(_with(deaf), "but its parcel has left")

    def test_a_refund_by_staff_of_which_the_process_does_not_hear(self):
        assert _found(_with({OrderRefundRequested: lambda saga, event: Reaction(saga)}), ", not 0,")

    def test_a_parcel_that_is_not_called_back_because_some_of_its_goods_are_in_a_return(self):
        def lets_it_be(saga, event):
            return FULFILMENT.react[OrderRefundRequested](saga, replace(event, recalled=False))

        assert _found(_with({OrderRefundRequested: lets_it_be}), "its parcel has left")

    def test_money_that_comes_late_and_stays(self):
        assert _found(_with({LatePaymentCompleted: lambda saga, event: Reaction(saga)}), ", not 0,")

    def test_a_refund_at_the_provider_of_which_nobody_is_told(self):
        assert _found(
            _with({PaymentRefundedOutside: lambda saga, event: Reaction(saga)}),
            "the provider holds",
        )

    def test_a_refund_that_is_asked_for_under_another_key_with_each_try(self):
        class Forgetful(Outside):
            def key(self, call):
                again = f"-{call.attempts}" if isinstance(call.event, RefundRequested) else ""
                return super().key(call) + again

        assert _found(None, "refunded more than it was charged", outside=Forgetful)


def _with(reactions):
    return {"orders.fulfilment": FULFILMENT._replace(react={**FULFILMENT.react, **reactions})}


def _waits_no_more(saga):
    return Reaction(replace(saga, status="COMPENSATED"))


def _found(table, words, *, outside=Outside, seeds=500):
    """Whether some seed fails in the expected way."""
    for seed in range(seeds):
        try:
            live("orchestration", seed, table=table, outside=outside)
        except AssertionError as error:
            if words in str(error):
                return True
    return False
