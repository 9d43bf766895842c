"""Whole journeys: HTTP in, a real worker and broker, the read model out; orchestrated and
choreographed."""

import time
from contextlib import contextmanager

import pytest
from django.db.models import Sum

from eventstore import sagas
from eventstore.commands import bus
from eventstore.models import SagaState
from eventstore.operations import control
from inventory.models import StockLevel
from payments.models import SandboxEntry
from shipping.commands import ShipShipment
from shipping.models import SandboxParcel

pytestmark = [pytest.mark.worker, pytest.mark.slow]


def available(sku):
    return StockLevel.objects.get(sku=sku).available


@contextmanager
def paused(subscription):
    control.pause(subscription, who="ada")
    try:
        yield
    finally:
        control.resume(subscription, who="ada")


def soon(question, answer):
    """Read models are folded one by one: the others may lag behind the order's for a moment."""
    until = time.monotonic() + 10
    while question() != answer and time.monotonic() < until:
        time.sleep(0.02)
    assert question() == answer


def test_an_order_in_stock_is_paid_reserved_shipped_and_confirmed(shop):
    order_id = shop.stocked(5).place(2)
    order = shop.comes_to(
        order_id, status="CONFIRMED", payment_status="COMPLETED", shipment_status="CREATED"
    )
    assert order["reservation_status"] == "RESERVED"
    assert order["total"] == {"amount": 1000, "currency": "EUR", "exponent": 2}
    assert order["tracking"].startswith("SB")
    soon(lambda: available(shop.sku), 3)


def test_a_declined_payment_cancels_the_order_and_touches_no_stock(shop):
    order_id = shop.stocked(5).place(method="tok_declined")
    order = shop.comes_to(order_id, status="CANCELLED", payment_status="FAILED")
    assert order["reason"] == "payment failed: declined"
    assert (order["reservation_status"], order["shipment_status"]) == ("NONE", "NONE")
    soon(lambda: available(shop.sku), 5)


def test_an_order_out_of_stock_is_refunded_and_cancelled(shop):
    order_id = shop.stocked(1).place(2)
    order = shop.comes_to(order_id, status="CANCELLED", payment_status="REFUNDED")
    assert order["reason"] == f"out of stock: {shop.sku}"
    assert (order["reservation_status"], order["shipment_status"]) == ("FAILED", "NONE")
    soon(lambda: available(shop.sku), 1)


def test_a_refused_parcel_gives_the_stock_and_the_money_back(shop):
    order_id = shop.stocked(2).place(2, postcode="REFUSED")
    order = shop.comes_to(
        order_id, status="CANCELLED", payment_status="REFUNDED", reservation_status="RELEASED"
    )
    assert order["shipment_status"] == "REFUSED"
    assert order["reason"] == "shipping refused: address not served"
    soon(lambda: available(shop.sku), 2)
    again = shop.place(2)
    shop.comes_to(again, status="CONFIRMED")


def test_a_customer_cancels_while_the_payment_is_under_way_and_is_refunded(shop):
    order_id = shop.stocked(5).place(method="tok_late")
    shop.comes_to(order_id, payment_status="REQUESTED")
    assert shop.cancel(order_id).status_code == 202
    order = shop.comes_to(order_id, status="CANCELLED", payment_status="REFUNDED")
    assert order["reservation_status"] == "NONE"
    assert shop.types_of(f"payment-{order_id}") == [
        "payments.payment_requested",
        "payments.refund_requested",
        "payments.payment_completed",
        "payments.payment_refunded",
    ]


def test_a_customer_cancels_while_the_parcel_is_being_booked_and_all_is_undone(shop):
    order_id = shop.stocked(5).place(postcode="LATE")
    shop.comes_to(order_id, shipment_status="REQUESTED")
    assert shop.cancel(order_id).status_code == 202
    shop.comes_to(
        order_id,
        status="CANCELLED",
        shipment_status="CANCELLED",
        reservation_status="RELEASED",
        payment_status="REFUNDED",
    )
    soon(lambda: available(shop.sku), 5)


def test_a_parcel_that_has_left_keeps_goods_and_money_where_they_are_until_a_person_has_seen_to_it(
    shop,
):
    with paused("orders"):  # or the order would be confirmed before its customer changes their mind
        order_id = shop.stocked(5).place(2)
        shop.comes_to(order_id, shipment_status="CREATED")
        bus.dispatch(ShipShipment(order_id))
        assert shop.cancel(order_id).status_code == 202
    soon(lambda: SagaState.objects.filter(key=order_id, status="NEEDS_ATTENTION").count(), 1)
    order = shop.comes_to(order_id, status="CANCELLED", shipment_status="SHIPPED")
    assert (order["payment_status"], order["reservation_status"]) == ("COMPLETED", "RESERVED")
    assert available(shop.sku) == 3

    stuck = SagaState.objects.get(key=order_id, status="NEEDS_ATTENTION")
    sagas.intervene(
        stuck.saga,
        order_id,
        "skip",
        seen_at=stuck.position,
        who="ada",
        reason="the carrier brings it back",
    )
    shop.comes_to(order_id, reservation_status="RELEASED", payment_status="REFUNDED")
    soon(lambda: available(shop.sku), 5)


def test_a_gateway_that_does_not_answer_is_asked_again_with_the_same_key(shop):
    order_id = shop.stocked(5).place(method="tok_timeout_once")
    shop.comes_to(order_id, status="CONFIRMED", payment_status="COMPLETED")
    assert shop.types_of(f"payment-{order_id}") == [
        "payments.payment_requested",
        "payments.payment_completed",
    ]


def test_a_gateway_that_took_the_money_and_did_not_answer_is_asked_by_key_and_charges_once(shop):
    order_id = shop.stocked(5).place(
        method="tok_charged_but_timeout", postcode="BOOKED-BUT-TIMEOUT"
    )
    shop.comes_to(
        order_id, status="CONFIRMED", payment_status="COMPLETED", shipment_status="CREATED"
    )
    assert (
        SandboxEntry.objects.filter(order_id=order_id).aggregate(taken=Sum("amount"))["taken"]
        == 500
    )
    assert SandboxParcel.objects.filter(order_id=order_id, done=True).count() == 1


def test_a_confirmed_order_can_no_longer_be_cancelled(shop):
    order_id = shop.stocked(5).place()
    shop.comes_to(order_id, status="CONFIRMED")
    answer = shop.cancel(order_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "OrderNotOpen")


def test_a_worker_killed_in_the_middle_loses_nothing_and_does_nothing_twice(shop, worker):
    shop.stocked(100)
    orders = [shop.place() for _ in range(15)]
    worker.kill()
    orders += [shop.place() for _ in range(15)]
    worker.start()
    for order_id in orders:
        shop.comes_to(order_id, status="CONFIRMED", shipment_status="CREATED")
        assert shop.types_of(f"payment-{order_id}") == [
            "payments.payment_requested",
            "payments.payment_completed",
        ]
        assert shop.types_of(f"order-{order_id}") == [
            "orders.order_placed",
            "orders.order_confirmed",
        ]
    soon(lambda: available(shop.sku), 70)
