"""A sample of the matrix on a real database, through the API and signed webhooks: the outcomes are
those of the page."""

from contextlib import ExitStack

import pytest

from config import wiring
from eventstore.models import SagaState
from eventstore.testing import drain

from . import page
from .conftest import paused

PAGE = page.written()

# The held subscription of each state.
HELD = {
    "payment asked for": "payments.gateway",
    "paid, stock asked for": "inventory",
    "reserved, parcel asked for": "shipping",
    "parcel being booked": "shipping.carrier",
    "parcel booked, to be confirmed": "orders",
    "confirmed": None,
}
FACTS = {
    "customer cancels": lambda shop, order_id: shop.cancel(order_id),
    "support or finance refunds it": lambda shop, order_id: shop.refund(order_id),
    "warehouse ships": lambda shop, order_id: shop.ship(order_id),
    "warehouse delivers": lambda shop, order_id: shop.deliver(order_id),
    "carrier: shipped": lambda shop, order_id: shop.carrier_says("parcel.shipped", order_id),
    "carrier: delivered": lambda shop, order_id: shop.carrier_says("parcel.delivered", order_id),
    "carrier: lost": lambda shop, order_id: shop.carrier_says("parcel.lost", order_id),
    "carrier: brought back": lambda shop, order_id: shop.carrier_says("parcel.returned", order_id),
}


@pytest.mark.parametrize("state", HELD)
def test_what_is_said_while_somebody_stands_still_ends_as_the_page_says(shop, process, state):
    answers, alone = {}, page.left_alone_as_written()[state]
    with ExitStack() as stack:
        if HELD[state]:
            stack.enter_context(paused(HELD[state]))
        for fact, act in FACTS.items():
            order_id = shop.place()
            answers[fact] = order_id, act(shop, order_id)
        drain()
    drain()
    for fact, (order_id, answer) in answers.items():
        expected = PAGE[state][fact][list(wiring.PROCESSES).index(process)]
        if expected.startswith("refused: "):
            assert answer.status_code in (404, 409), f"{fact}: {answer.content}"
            assert f"refused: {answer.json()['code']}" == expected, fact
            expected = alone
        else:
            assert answer.status_code in (200, 202), f"{fact}: {answer.content}"
        assert _ended(shop.order(order_id)) == (
            alone if expected == "changes nothing" else expected
        ), fact


def _ended(order):
    called = SagaState.objects.filter(key=order.order_id, status="NEEDS_ATTENTION").exists()
    outcome = (
        f"{order.status}, payment {order.payment_status}, stock {order.reservation_status},"
        f" parcel {order.shipment_status}"
    )
    return outcome + (", **a person is called**" if called else "")
