"""An order is refunded while some of its goods are in a return: wherever the parcel is, each unit
is counted once."""

import pytest

from eventstore.models import SagaState
from eventstore.testing import drain
from inventory.models import StockLevel
from orders.models import ReturnView

from .conftest import STOCK
from .test_at_any_moment import kept, parcels, states


def announce(shop, order_id, quantity=1):
    wish = {"lines": [{"number": 1, "quantity": quantity}], "charges": [], "reason": "too small"}
    answer = shop.post("ada", f"orders/{order_id}/returns/", wish)
    assert answer.status_code == 202, answer.content
    drain()
    return answer.json()["return_id"]


def receive(shop, return_id):
    answer = shop.post("operator", f"returns/{return_id}/receive/", {})
    assert answer.status_code == 202, answer.content
    drain()


def refund(shop, order_id):
    assert shop.refund(order_id).status_code == 202
    drain()


def nobody_is_called():
    return not SagaState.objects.filter(status="NEEDS_ATTENTION").exists()


class TestWhileTheParcelIsHere:
    def test_a_refund_calls_the_parcel_back_though_a_return_is_announced(self, shop):
        order_id = shop.place(quantity=2)
        return_id = announce(shop, order_id)
        refund(shop, order_id)
        assert states(shop.order(order_id)) == ("REFUNDED", "REFUNDED", "RELEASED", "CANCELLED")
        assert (kept(order_id), parcels(order_id)) == (0, 0)
        assert StockLevel.objects.get().available == STOCK
        receive(shop, return_id)
        assert StockLevel.objects.get().available == STOCK, (
            "what was called back is not put on the shelf once more"
        )
        assert ReturnView.objects.get().status == "COMPLETED"
        assert nobody_is_called()

    @pytest.mark.parametrize("came", [1, 2])
    def test_what_has_come_back_is_not_released_once_more(self, shop, came):
        order_id = shop.place(quantity=2)
        receive(shop, announce(shop, order_id, came))
        assert StockLevel.objects.get().available == STOCK - 2 + came
        refund(shop, order_id)
        assert states(shop.order(order_id)) == ("REFUNDED", "REFUNDED", "RELEASED", "CANCELLED")
        assert StockLevel.objects.get().available == STOCK
        assert (kept(order_id), parcels(order_id)) == (0, 0)
        assert nobody_is_called()


class TestOnceTheParcelHasLeft:
    @pytest.mark.parametrize("arrived", [True, False])
    def test_a_return_that_comes_after_the_refund_completes_with_nothing_left_to_pay(
        self, shop, arrived
    ):
        order_id = shop.place(quantity=2)
        shop.ship(order_id)
        drain()
        if arrived:
            shop.deliver(order_id)
            drain()
        return_id = announce(shop, order_id)
        refund(shop, order_id)
        assert states(shop.order(order_id))[:3] == ("REFUNDED", "REFUNDED", "RESERVED")
        receive(shop, return_id)
        row = ReturnView.objects.get()
        assert (row.status, row.refunded) == ("COMPLETED", 0)
        assert StockLevel.objects.get().available == STOCK - 1
        assert kept(order_id) == 0
        assert nobody_is_called()
