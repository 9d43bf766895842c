"""Every unit that comes back was bought, comes back once, and is refunded at the price paid."""

from datetime import UTC, datetime

import pytest

from eventstore.aggregate import CommandRejected
from eventstore.messages import replace
from eventstore.money import Money
from eventstore.testing import decided, given
from orders.commands import CloseReturn, CompleteReturn, ImportReturn, ReceiveReturn, RequestReturn
from orders.events import (
    Charge,
    GoodsReturned,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    Portion,
    ReturnClosed,
    ReturnCompleted,
    ReturnContinued,
    ReturnedCharge,
    ReturnedLine,
    ReturnForgone,
    ReturnPromised,
    ReturnRequested,
)
from orders.order.aggregate import ORDER, OrderNotFound
from orders.returns import aggregate as returns
from orders.returns import quantities
from orders.returns.aggregate import RETURN
from shipping.commands import Address

AT = datetime(2026, 1, 1, tzinfo=UTC)
LINES = (
    OrderLine("A", "Apple", 3, 100),
    OrderLine("B", "Pear", 2, 250),
    OrderLine("A", "Apple", 1, 90),
)
POSTAGE = Charge("POST", "Postage", 1, 180)
PLACED = OrderPlaced(
    "o1", "c1", LINES, (POSTAGE,), Money(1070, "EUR"), Address("Ada"), "tok_visa", AT
)
CONFIRMED = {"order-o1": [PLACED, OrderConfirmed("o1")]}


def wish(*lines, charges=(), return_id="r1"):
    portions = tuple(Portion(*line) for line in lines)
    return RequestReturn(
        return_id, "o1", portions, tuple(Portion(*each) for each in charges), "too small", AT
    )


def arrival(*lines, return_id="r1"):
    return ReceiveReturn(return_id, "o1", tuple(Portion(*line) for line in lines), AT)


def after(*commands, histories=CONFIRMED):
    histories = dict(histories)
    for command in commands:
        for stream, events in decided(histories, command).items():
            histories[stream] = [*histories.get(stream, []), *events]
    return histories


def refused(refusal, command, *before, histories=CONFIRMED):
    with pytest.raises(refusal):
        decided(after(*before, histories=histories), command)


class TestRequest:
    def test_it_is_noted_on_the_order_and_worth_what_was_paid(self):
        lines, charges = (Portion(1, 2), Portion(3, 1)), (Portion(1, 1),)
        assert decided(CONFIRMED, RequestReturn("r1", "o1", lines, charges, "too small", AT)) == {
            "return-r1": [
                ReturnRequested(
                    "r1",
                    "o1",
                    "c1",
                    (ReturnedLine(1, "A", 2, 100), ReturnedLine(3, "A", 1, 90)),
                    (ReturnedCharge(1, "POST", 1, 180),),
                    Money(470, "EUR"),
                    "too small",
                    AT,
                )
            ],
            "order-o1": [ReturnPromised("o1", "r1", lines, charges)],
        }

    def test_asked_twice_it_is_one_return(self):
        assert decided(after(wish((1, 1))), wish((1, 1))) == {}

    def test_another_return_under_the_same_id_is_no_repeat(self):
        for other in wish((1, 2)), wish((2, 1)), wish((1, 1), charges=[(1, 1)]):
            refused(returns.ReturnIsAnother, other, wish((1, 1)))

    def test_what_one_return_has_no_other_can_have(self):
        assert decided(after(wish((1, 2))), wish((1, 1), return_id="r2"))
        refused(quantities.MoreThanWasBought, wish((1, 2), return_id="r2"), wish((1, 2)))
        refused(
            quantities.MoreThanWasBought,
            wish(charges=[(1, 1)], return_id="r2"),
            wish(charges=[(1, 1)]),
        )

    def test_nor_can_it_have_a_unit_twice_by_naming_it_twice(self):
        refused(quantities.MoreThanWasBought, wish((1, 2), (1, 2)))

    def test_what_has_come_back_stays_returned(self):
        refused(
            quantities.MoreThanWasBought,
            wish((1, 1), return_id="r2"),
            wish((1, 3)),
            arrival(),
            CompleteReturn("r1"),
        )

    @pytest.mark.parametrize("command", [wish((4, 1)), wish(charges=[(2, 1)])])
    def test_what_is_not_on_the_order_cannot_come_back(self, command):
        refused(quantities.NotOnTheOrder, command)

    def test_nothing_is_no_return(self):
        refused(returns.EmptyReturn, wish())

    def test_only_a_confirmed_order_has_returns(self):
        refused(OrderNotFound, wish((1, 1)), histories={})
        refused(returns.OrderNotConfirmed, wish((1, 1)), histories={"order-o1": [PLACED]})
        cancelled = {"order-o1": [PLACED, OrderCancelled("o1", "changed my mind")]}
        refused(returns.OrderNotConfirmed, wish((1, 1)), histories=cancelled)


class TestArrival:
    def test_all_of_it_comes_and_is_worth_what_was_announced(self):
        history = after(wish((1, 2), charges=[(1, 1)]))
        came = (ReturnedLine(1, "A", 2, 100),)
        assert decided(history, arrival()) == {
            "return-r1": [GoodsReturned("r1", "o1", came, Money(380, "EUR"), AT)]
        }

    def test_what_does_not_come_is_not_paid_back_and_may_come_with_another_return(self):
        history = after(wish((1, 2), (2, 1)))
        came = (ReturnedLine(1, "A", 1, 100),)
        assert decided(history, arrival((1, 1))) == {
            "return-r1": [GoodsReturned("r1", "o1", came, Money(100, "EUR"), AT)],
            "order-o1": [ReturnForgone("o1", "r1", (Portion(1, 1), Portion(2, 1)), ())],
        }
        assert decided(
            after(wish((1, 2), (2, 1)), arrival((1, 1))), wish((1, 2), (2, 2), return_id="r2")
        )

    def test_more_than_was_announced_is_refused(self):
        for lines in [(1, 3)], [(2, 1)], [(1, 2), (1, 1)]:
            refused(quantities.MoreThanWasAnnounced, arrival(*lines), wish((1, 2)))

    def test_goods_arrive_once(self):
        assert decided(after(wish((1, 1)), arrival()), arrival()) == {}
        assert decided(after(wish((1, 1)), arrival(), CompleteReturn("r1")), arrival()) == {}

    def test_what_comes_later_is_received_as_a_return_of_its_own(self):
        history = after(wish((1, 3), charges=[(1, 1)]), arrival((1, 2)))
        late = returns.late_id(arrival((1, 1)))
        came, worth = (ReturnedLine(1, "A", 1, 100),), Money(100, "EUR")
        assert decided(history, arrival((1, 1))) == {
            "return-r1": [ReturnContinued("r1", "o1", late, (Portion(1, 1),))],
            f"return-{late}": [
                ReturnRequested(late, "o1", "c1", came, (), worth, "too small", AT, "r1"),
                GoodsReturned(late, "o1", came, worth, AT),
            ],
            "order-o1": [ReturnPromised("o1", late, (Portion(1, 1),), ())],
        }

    def test_the_rest_need_not_be_counted(self):
        history = after(wish((1, 3), (2, 1)), arrival((1, 2)))
        (continued,) = decided(history, arrival())["return-r1"]
        assert continued.lines == (Portion(1, 1), Portion(2, 1))

    def test_each_of_them_once(self):
        history = after(wish((1, 3)), arrival((1, 2)), arrival((1, 1)))
        for again in (arrival((1, 2)), arrival((1, 1)), arrival()):
            assert decided(history, again) == {}

    def test_two_parcels_of_equal_contents_are_told_apart_by_their_names(self):
        first, second = (replace(arrival((1, 1)), delivery=name) for name in ("morning", "evening"))
        history = after(wish((1, 3)), first)
        assert decided(history, first) == {}
        assert decided(history, second)["return-r1"]
        assert decided(after(wish((1, 3)), first, second), second) == {}

    def test_without_names_one_parcel_told_twice_is_neither_doubled_nor_passed_over(self):
        refused(returns.PerhapsTheSameParcel, arrival((1, 1)), wish((1, 3)), arrival((1, 1)))
        named = replace(arrival((1, 1)), delivery="first")
        refused(returns.PerhapsTheSameParcel, arrival((1, 1)), wish((1, 3)), named, arrival((1, 1)))
        assert decided(after(wish((1, 3)), arrival((1, 2))), arrival((1, 2))) == {}

    def test_later_too_no_more_comes_than_was_announced_and_is_not_elsewhere(self):
        for lines in [(1, 50)], [(9, 1)], [(1, 2)], [(2, 1)]:
            refused(quantities.MoreThanWasAnnounced, arrival(*lines), wish((1, 2)), arrival((1, 1)))
        refused(quantities.MoreThanWasAnnounced, arrival((1, 50)), wish((1, 2)), arrival())
        elsewhere = wish((1, 2), return_id="r2")
        refused(
            quantities.MoreThanWasBought, arrival((1, 2)), wish((1, 3)), arrival((1, 1)), elsewhere
        )

    def test_for_charges_alone_no_goods_are_awaited(self):
        refused(returns.ReturnNotOpen, arrival(), wish(charges=[(1, 1)]))

    def test_a_return_that_nobody_requested_does_not_arrive(self):
        refused(returns.ReturnNotFound, arrival())
        refused(returns.ReturnNotFound, replace(arrival(), order_id="o2"), wish((1, 1)))


class TestEnd:
    def test_goods_that_never_come_are_given_up_and_may_come_with_another_return(self):
        history = after(wish((1, 3), charges=[(1, 1)]))
        closing = CloseReturn("r1", "o1", "the goods did not come")
        assert decided(history, closing) == {
            "return-r1": [ReturnClosed("r1", "o1", "the goods did not come")],
            "order-o1": [ReturnForgone("o1", "r1", (Portion(1, 3),), (Portion(1, 1),))],
        }
        assert decided(after(wish((1, 3)), closing), wish((1, 3), return_id="r2"))
        assert decided(after(wish((1, 3)), closing), closing) == {}
        refused(returns.ReturnNotOpen, arrival(), wish((1, 3)), closing)
        refused(returns.ReturnNotOpen, closing, wish((1, 3)), arrival())

    def test_it_is_completed_once(self):
        requested = after(wish((1, 1)))["return-r1"]
        given(RETURN, *requested).when(CompleteReturn("r1")).then(ReturnCompleted("r1", "o1"))
        given(RETURN, *requested, ReturnCompleted("r1", "o1")).when(CompleteReturn("r1")).then()
        given(RETURN).when(CompleteReturn("r1")).refused(returns.ReturnNotFound)
        given(RETURN, *requested, ReturnClosed("r1", "o1", "x")).when(CompleteReturn("r1")).refused(
            returns.ReturnNotOpen
        )


class TestImport:
    IMPORT = ImportReturn("r1", "o1", (Portion(2, 1), Portion(2, 1)), "credit note", AT, "C1")

    @pytest.mark.parametrize(
        "since", [[], [OrderConfirmed("o1")], [OrderCancelled("o1", "out of stock")]]
    )
    def test_it_was_settled_elsewhere_whatever_became_of_the_order(self, since):
        lines = (ReturnedLine(2, "B", 1, 250), ReturnedLine(2, "B", 1, 250))
        worth = Money(500, "EUR")
        assert decided({"order-o1": [PLACED, *since]}, self.IMPORT) == {
            "return-r1": [
                ReturnRequested(
                    "r1", "o1", "c1", lines, (), worth, "credit note", AT, "C1", settled=True
                ),
                GoodsReturned("r1", "o1", lines, worth, AT),
            ],
            "order-o1": [ReturnPromised("o1", "r1", (Portion(2, 1), Portion(2, 1)), ())],
        }

    def test_it_is_in_once_and_takes_no_unit_that_another_has(self):
        assert decided(after(self.IMPORT), self.IMPORT) == {}
        refused(quantities.MoreThanWasBought, replace(self.IMPORT, return_id="r2"), self.IMPORT)
        refused(returns.ReturnIsAnother, replace(self.IMPORT, lines=(Portion(1, 1),)), self.IMPORT)


def test_a_refusal_says_what_can_be_returned():
    with pytest.raises(CommandRejected, match=r"Of line 1, 1 can be returned, not 3\."):
        decided(after(wish((1, 2))), wish((1, 3), return_id="r2"))


def test_what_the_provider_cannot_give_back_is_refused_at_the_door():
    decision = returns.decisions(
        lambda money: f"{money} cannot go back." if money.amount % 100 else ""
    )[RequestReturn]
    order = ORDER.fold(CONFIRMED["order-o1"])
    states = {"order-o1": order, "return-r1": returns.Return()}
    with pytest.raises(returns.NotRefundable, match="2.50 EUR cannot go back"):
        decision.decide(states, wish((2, 1)))
    assert decision.decide(states, wish((2, 2)))
