"""Goods come back, wholly or in part: restocked and refunded, with a real worker, in either form of
the process."""

import pytest

from inventory.models import StockLevel
from orders.models import ReturnView
from payments.models import PaymentView

from .test_an_order_goes_through import available, soon

pytestmark = [pytest.mark.worker, pytest.mark.slow]


def confirmed(shop, quantity, **how):
    order_id = shop.place(quantity, **how)
    shop.comes_to(order_id, status="CONFIRMED")
    return order_id


def status_of(return_id):
    return ReturnView.objects.values_list("status", flat=True).filter(return_id=return_id).first()


def test_an_order_that_comes_back_wholly_is_restocked_and_paid_back(shop):
    order_id = confirmed(shop.stocked(5), 2)
    return_id = shop.send_back(order_id, 2)
    shop.receive(return_id)
    order = shop.comes_to(order_id, return_status="RETURNED", payment_status="REFUNDED")
    assert order["status"] == "CONFIRMED"
    assert order["refunded"] == order["total"] == {"amount": 1000, "currency": "EUR", "exponent": 2}
    soon(lambda: available(shop.sku), 5)
    soon(lambda: status_of(return_id), "COMPLETED")
    soon(lambda: PaymentView.objects.get(order_id=order_id).refunded, 1000)
    assert StockLevel.objects.get(sku=shop.sku).returned == 2


def test_a_part_comes_back_and_then_another(shop):
    order_id = confirmed(shop.stocked(5), 3)
    for count in (1, 2):
        shop.receive(shop.send_back(order_id, 1))
        refunded = {"amount": 500 * count, "currency": "EUR", "exponent": 2}
        order = shop.comes_to(order_id, refunded=refunded, return_status="PARTLY_RETURNED")
        assert order["payment_status"] == "PARTLY_REFUNDED"
        assert order["lines"][0]["returned"] == count
    soon(lambda: available(shop.sku), 4)


def test_a_refund_that_the_gateway_does_not_answer_is_asked_for_again_with_the_same_key(shop):
    order_id = confirmed(shop.stocked(5), 2, method="tok_refund_timeout_once")
    shop.receive(shop.send_back(order_id, 1))
    shop.comes_to(order_id, payment_status="PARTLY_REFUNDED")
    assert shop.types_of(f"payment-{order_id}")[-2:] == [
        "payments.part_refund_requested",
        "payments.part_refunded",
    ]


def test_a_worker_killed_in_the_middle_pays_every_return_once(shop, worker):
    shop.stocked(60)
    orders = [confirmed(shop, 2) for _ in range(8)]
    returns = [shop.send_back(order_id, 2) for order_id in orders]
    for return_id in returns:
        shop.receive(return_id)
    worker.kill()
    worker.start()
    for order_id in orders:
        shop.comes_to(order_id, payment_status="REFUNDED", return_status="RETURNED")
        assert shop.types_of(f"payment-{order_id}").count("payments.part_refunded") == 1
    soon(lambda: {status_of(return_id) for return_id in returns}, {"COMPLETED"})
    soon(lambda: available(shop.sku), 60)
