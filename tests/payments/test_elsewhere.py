"""An order that was paid outside this platform: nothing is charged or refunded here."""

from datetime import UTC, datetime

import pytest

from eventstore.money import Money
from eventstore.testing import given
from orders.commands import Item, PlaceOrder
from orders.events import ProductListed
from orders.order import aggregate as order
from payments.commands import ELSEWHERE, ProcessPayment, RefundPart, RefundPayment
from payments.events import (
    PartRefunded,
    PartRefundPromised,
    PaymentCompleted,
    PaymentRefunded,
)
from payments.payment import PAYMENT, MoreThanWasPaid, NotRefundable
from shipping.commands import Address, CancelShipment, CreateShipment
from shipping.events import ShipmentCancelled, ShipmentCreated
from shipping.shipment import SHIPMENT

PAID, PART = Money(900, "GBP", 3), Money(300, "GBP", 3)
PROCESS = ProcessPayment("o1", PAID, ELSEWHERE)
COMPLETED = PaymentCompleted("o1", PAID, ELSEWHERE)
SETTLED = RefundPart("o1", "r1", PART, "credit note", settled=True)
REFUNDED = PartRefunded("o1", "r1", PART, ELSEWHERE)


def test_it_is_completed_without_a_request_and_once():
    given(PAYMENT).when(PROCESS).then(COMPLETED)
    given(PAYMENT, COMPLETED).when(PROCESS).then()


def test_a_refund_that_was_made_there_is_recorded_once():
    given(PAYMENT, COMPLETED).when(SETTLED).then(REFUNDED)
    given(PAYMENT, COMPLETED, REFUNDED).when(SETTLED).then()
    given(PAYMENT, COMPLETED, REFUNDED).when(
        RefundPart("o1", "r2", PAID, "too much", settled=True)
    ).refused(MoreThanWasPaid)


def test_a_refund_before_the_payment_waits_for_it():
    promised = PartRefundPromised("o1", "r1", PART, "credit note")
    given(PAYMENT).when(SETTLED).then(promised)
    given(PAYMENT, promised).when(PROCESS).then(COMPLETED, REFUNDED)


def test_a_refund_of_today_is_refused_so_that_a_person_makes_it_there():
    given(PAYMENT, COMPLETED).when(RefundPart("o1", "r1", PART, "return")).refused(NotRefundable)


def test_an_order_that_was_undone_is_refunded_there():
    given(PAYMENT, COMPLETED).when(RefundPayment("o1", "out of stock")).then(
        PaymentRefunded("o1", PAID, ELSEWHERE)
    )


def test_a_parcel_that_was_sent_elsewhere_needs_no_carrier():
    created = ShipmentCreated("o1", tracking="")
    given(SHIPMENT).when(CreateShipment("o1", Address("Ada"), elsewhere=True)).then(created)
    given(SHIPMENT, created).when(CancelShipment("o1", "undone")).then(ShipmentCancelled("o1"))


def test_nobody_places_an_order_as_paid_elsewhere():
    product = order.PRODUCT.fold([ProductListed("CUP", "A cup", PAID)])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    command = PlaceOrder("o1", "c1", (Item("CUP", 1),), Address("Ada"), ELSEWHERE, at)
    states = {"order-o1": order.Order(), "product-CUP": product}
    with pytest.raises(order.NotPayable):
        order.place(states, command)
