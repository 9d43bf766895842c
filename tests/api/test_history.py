"""The events of an order, as its customer may see them."""

import json
import threading

import pytest
from django.db import transaction

from eventstore import log
from eventstore.testing import drain
from orders.api import live
from orders.api.public_events import PUBLIC_FIELDS
from orders.events import OrderCancelled
from orders.order.projections import ORDER_DETAILS
from payments.events import PaymentFailed
from tests.eventstore.concurrently import in_thread

from .conftest import NOBODY, pointers, problem

pytestmark = pytest.mark.usefixtures("shop")


def history(api, order_id, query="", **headers):
    return api.get(f"/api/queries/orders/{order_id}/history/{query}", **headers)


def test_all_that_happened_is_told_in_order_and_at_once(ada):
    order_id = ada.placed()
    assert [event["type"] for event in history(ada, order_id).json()["data"]] == [
        "orders.order_placed"
    ]
    drain()
    events = history(ada, order_id).json()["data"]
    assert [event["type"] for event in events] == [
        "orders.order_placed",
        "payments.payment_requested",
        "payments.payment_completed",
        "inventory.inventory_reserved",
        "shipping.shipment_requested",
        "shipping.shipment_created",
        "orders.order_confirmed",
    ]
    assert [event["position"] for event in events] == sorted(event["position"] for event in events)
    assert events[-1]["version"] == 2
    assert events[0]["recorded_at"].endswith("Z")
    assert events[2]["data"] == {"amount": {"amount": 1999, "currency": "EUR", "exponent": 2}}


def test_what_came_back_is_told_too_as_a_socket_tells_it(ada, operator):
    order_id = ada.placed({"sku": "CUP", "quantity": 2})
    drain()
    body = {"lines": [{"number": 1, "quantity": 1}], "reason": "broken"}
    return_id = ada.post(f"/api/commands/orders/{order_id}/returns/", body).json()["return_id"]
    operator.post(f"/api/commands/returns/{return_id}/receive/", {})
    drain()
    events = history(ada, order_id).json()["data"]
    assert [event["type"] for event in events[7:]] == [
        "orders.return_requested",
        "orders.return_promised",
        "orders.goods_returned",
        "payments.part_refund_requested",
        "payments.part_refunded",
        "orders.return_completed",
    ]
    [(_, _, text), *_] = live.items(list(log.read_stream(f"return-{return_id}")))
    assert json.loads(text) == events[7]


def test_how_it_was_paid_stays_with_us(ada):
    order_id = ada.placed(payment_method="tok_visa_4242")
    drain()
    body = history(ada, order_id).content.decode()
    assert "tok_visa" not in body
    assert 'reference":""' in body, "the only reference is the order's own"


def test_it_comes_in_pages(ada):
    order_id = ada.placed()
    drain()
    found, path = [], "?limit=3"
    while path:
        answer = history(ada, order_id, path)
        page = answer.json()
        assert answer.get("Link") == (f'<{page["next"]}>; rel="next"' if page["has_more"] else None)
        found += [event["position"] for event in page["data"]]
        assert page["has_more"] is (page["next"] is not None)
        path = page["next"] and "?" + page["next"].partition("?")[2]
    assert found == [event["position"] for event in history(ada, order_id).json()["data"]]


def test_who_walks_while_others_write_misses_nothing(ada):
    """The customer's cancellation has its position but is not committed when the payment after it
    is."""
    order_id = ada.placed()
    appended, go = threading.Event(), threading.Event()
    cancelling = in_thread(cancel_and_wait, order_id, appended, go)
    assert appended.wait(5)
    behind = log.append(
        f"payment-{order_id}", [PaymentFailed(order_id, "declined")], expected=log.ANY
    ).position
    found = pages(ada, order_id)
    assert [event["type"] for event in found] == ["orders.order_placed"]
    problem(
        history(ada, order_id, **{"Min-Position": str(behind), "Prefer": "wait=0"}),
        503,
        "ReadModelBehind",
    )

    go.set()
    cancelling.result(5)
    found += pages(ada, order_id, after=found[-1]["position"], **{"Min-Position": str(behind)})
    assert [event["type"] for event in found] == [
        "orders.order_placed",
        "orders.order_cancelled",
        "payments.payment_failed",
    ]


def cancel_and_wait(order_id, appended, go):
    with transaction.atomic():
        log.append(f"order-{order_id}", [OrderCancelled(order_id, "changed my mind")], expected=1)
        appended.set()
        go.wait(5)


def pages(api, order_id, after=0, **headers):
    found, path = [], f"?limit=1&after={after}"
    while path:
        page = history(api, order_id, path, **headers).json()
        found += page["data"]
        path = page["next"] and "?" + page["next"].partition("?")[2]
    return found


def test_what_has_not_happened_at_all_is_not_waited_for(ada):
    order_id = ada.placed()
    problem(
        history(ada, order_id, **{"Min-Position": str(10**17), "Prefer": "wait=0"}),
        412,
        "NotThereYet",
    )
    assert pointers(history(ada, order_id, **{"X-Min-Version": "1"})) == ["X-Min-Version"]


@pytest.mark.parametrize("query", ["?limit=0", "?limit=101", "?after=-1", "?after=x", "?cursor=1"])
def test_what_cannot_be_asked_is_named(ada, query):
    assert pointers(history(ada, NOBODY, query)) == [query[1:].partition("=")[0]]


def test_it_is_its_customers_affair(ada, grace, support):
    order_id = ada.placed()
    problem(history(grace, order_id), 404, "NotFound")
    problem(history(ada, NOBODY), 404, "NotFound")
    assert history(support, order_id).status_code == 200


def test_for_every_event_of_an_order_it_is_said_what_may_be_seen():
    assert set(ORDER_DETAILS.evolve) - set(PUBLIC_FIELDS) == set()


def test_how_far_the_process_is(ada):
    order_id = ada.placed()
    path = f"/api/queries/orders/{order_id}/progress/"
    assert ada.get(path).json() == {"order_id": order_id, "processes": []}
    drain()
    [process] = ada.get(path).json()["processes"]
    assert (process["process"], process["status"], process["deadline_at"]) == (
        "orders.fulfilment",
        "COMPLETED",
        None,
    )
