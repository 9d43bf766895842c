from datetime import UTC, datetime

from eventstore.money import Money
from eventstore.testing import given
from orders.commands import CancelOrder, ConfirmOrder, ImportOrder, RefundOrder
from orders.events import (
    Charge,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    OrderRefundRequested,
    Portion,
    ReturnPromised,
)
from orders.order.aggregate import ORDER, OrderAlreadyPlaced, OrderNotFound, OrderNotOpen
from shipping.commands import Address

AT = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
LINES = (OrderLine("85123A", "Hanging heart", 6, 255), OrderLine("71053", "Lantern", 2, 339))
PLACED = OrderPlaced("o1", "c1", LINES, (), Money(2208, "GBP"), Address("Ada"), "tok_visa", AT)
CONFIRMED = OrderConfirmed("o1")
CANCELLED = OrderCancelled("o1", "changed my mind")


def import_order(*, lines=LINES, charges=()):
    return ImportOrder(
        "o1", "c1", lines, charges, "GBP", 2, Address("Ada"), "invoice", AT, "536365"
    )


def test_an_imported_order_is_placed_at_the_prices_that_were_agreed_elsewhere():
    given(ORDER).when(import_order()).then(
        OrderPlaced(
            "o1", "c1", LINES, (), Money(2208, "GBP"), Address("Ada"), "invoice", AT, "536365"
        )
    )


def test_charges_count_into_its_total_discounts_included():
    charges = (Charge("POST", "Postage", 1, 1800), Charge("D", "Discount", 1, -500))
    given(ORDER).when(import_order(charges=charges)).then(
        OrderPlaced(
            "o1", "c1", LINES, charges, Money(3508, "GBP"), Address("Ada"), "invoice", AT, "536365"
        )
    )


def test_an_order_of_nothing_but_charges_can_be_imported():
    charges = (Charge("POST", "Postage", 2, 1800),)
    given(ORDER).when(import_order(lines=(), charges=charges)).then(
        OrderPlaced(
            "o1", "c1", (), charges, Money(3600, "GBP"), Address("Ada"), "invoice", AT, "536365"
        )
    )


def test_an_order_is_imported_once():
    given(ORDER, PLACED).when(import_order()).refused(OrderAlreadyPlaced)
    given(ORDER, PLACED, CANCELLED).when(import_order()).refused(OrderAlreadyPlaced)


def test_a_placed_order_can_be_confirmed():
    given(ORDER, PLACED).when(ConfirmOrder("o1")).then(CONFIRMED)


def test_confirming_it_again_changes_nothing():
    given(ORDER, PLACED, CONFIRMED).when(ConfirmOrder("o1")).then()


def test_what_was_never_placed_cannot_be_confirmed():
    given(ORDER).when(ConfirmOrder("o1")).refused(OrderNotOpen)


def test_a_cancelled_order_cannot_be_confirmed():
    given(ORDER, PLACED, CANCELLED).when(ConfirmOrder("o1")).refused(OrderNotOpen)


def test_a_placed_order_can_be_cancelled():
    given(ORDER, PLACED).when(CancelOrder("o1", "changed my mind")).then(CANCELLED)


def test_cancelling_it_again_changes_nothing_and_keeps_the_first_reason():
    given(ORDER, PLACED, CANCELLED).when(CancelOrder("o1", "another reason")).then()


def test_what_was_never_placed_cannot_be_cancelled():
    given(ORDER).when(CancelOrder("o1", "why not")).refused(OrderNotFound)


def test_a_confirmed_order_cannot_be_cancelled():
    given(ORDER, PLACED, CONFIRMED).when(CancelOrder("o1", "too late")).refused(OrderNotOpen)


class TestARefund:
    ASKED = RefundOrder("o1", "goodwill")

    def test_of_an_order_under_way_cancels_it(self):
        given(ORDER, PLACED).when(self.ASKED).then(OrderCancelled("o1", "goodwill"))

    def test_of_a_confirmed_order_calls_its_parcel_back(self):
        refunding = OrderRefundRequested("o1", "goodwill", recalled=True)
        given(ORDER, PLACED, CONFIRMED).when(self.ASKED).then(refunding)
        given(ORDER, PLACED, CONFIRMED, refunding).when(self.ASKED).then()
        given(ORDER, PLACED, CONFIRMED, refunding).when(ConfirmOrder("o1")).then()
        given(ORDER, PLACED, CONFIRMED, refunding).when(CancelOrder("o1", "no more")).refused(
            OrderNotOpen
        )

    def test_also_if_some_of_its_goods_are_in_a_return(self):
        """The order does not know whether its goods have left."""
        promised = ReturnPromised("o1", "r1", (Portion(1, 1),), ())
        refunding = OrderRefundRequested("o1", "goodwill", recalled=True)
        given(ORDER, PLACED, CONFIRMED, promised).when(self.ASKED).then(refunding)

    def test_of_a_cancelled_order_is_its_processs_to_make(self):
        given(ORDER, PLACED, CANCELLED).when(self.ASKED).refused(OrderNotOpen)
        given(ORDER).when(self.ASKED).refused(OrderNotFound)
