"""The staff's endpoints: catalogue, stock, parcels, refunds."""

import pytest

from eventstore.testing import drain

from .conftest import NOBODY, problem

pytestmark = pytest.mark.usefixtures("shop")


def test_a_product_is_listed_repriced_and_delisted(operator, ada):
    price = {"amount": 450, "currency": "EUR", "exponent": 2}
    answer = operator.post(
        "/api/commands/products/", {"sku": "FILTER-1", "name": "Filters", "price": price}
    )
    assert (answer.status_code, answer["Location"]) == (202, "/api/queries/products/FILTER-1/")
    assert answer.json() | {"position": 0} == {
        "sku": "FILTER-1",
        "version": 1,
        "position": 0,
        "status": "PROCESSING",
    }
    operator.post("/api/commands/products/FILTER-1/reprice/", {"price": price | {"amount": 500}})
    answer = operator.post("/api/commands/products/FILTER-1/delist/")
    drain()
    product = ada.get(answer["Location"]).json()
    assert product == {
        "sku": "FILTER-1",
        "name": "Filters",
        "price": price | {"amount": 500},
        "offered": False,
        "version": 3,
        "position": answer.json()["position"],
    }


def test_what_was_never_listed_cannot_be_repriced_or_delisted(operator):
    price = {"amount": 450, "currency": "EUR"}
    problem(
        operator.post("/api/commands/products/NOTHING/reprice/", {"price": price}), 404, "NotFound"
    )
    problem(operator.post("/api/commands/products/NOTHING/delist/"), 404, "NotFound")


def test_what_is_delisted_cannot_be_repriced(operator):
    operator.post("/api/commands/products/CUP/delist/")
    answer = operator.post(
        "/api/commands/products/CUP/reprice/", {"price": {"amount": 1, "currency": "EUR"}}
    )
    problem(answer, 409, "ProductNotOffered")


def test_stock_is_received_and_set_right(operator):
    operator.post("/api/commands/stock/CUP/receive/", {"quantity": 5, "reference": "delivery 12"})
    answer = operator.post("/api/commands/stock/CUP/adjust/", {"quantity": -3, "reason": "broken"})
    assert (answer.status_code, answer["Location"]) == (202, "/api/queries/stock/CUP/")
    drain()
    level = operator.get(answer["Location"]).json()
    assert level == {
        "sku": "CUP",
        "received": 15,
        "adjusted": -3,
        "reserved": 0,
        "returned": 0,
        "available": 12,
        "version": 3,
        "position": answer.json()["position"],
    }


def test_no_more_stock_is_taken_away_than_there_is(operator):
    answer = operator.post("/api/commands/stock/CUP/adjust/", {"quantity": -11, "reason": "lost"})
    problem(answer, 409, "NotEnoughStock")


def test_stock_that_was_never_received_cannot_be_adjusted(operator):
    problem(
        operator.post("/api/commands/stock/CAP/adjust/", {"quantity": 1, "reason": "found"}),
        404,
        "NotFound",
    )


def test_a_parcel_is_shipped_and_delivered(operator, ada):
    order_id = ada.placed()
    problem(operator.post(f"/api/commands/shipments/{order_id}/ship/"), 404, "NotFound")
    drain()
    problem(
        operator.post(f"/api/commands/shipments/{order_id}/deliver/"), 409, "ShipmentNotShipped"
    )
    operator.post(f"/api/commands/shipments/{order_id}/ship/")
    answer = operator.post(f"/api/commands/shipments/{order_id}/deliver/")
    drain()
    parcel = ada.get(answer["Location"]).json()
    assert (parcel["order_id"], parcel["status"]) == (order_id, "DELIVERED")
    assert parcel["version"] == answer.json()["version"]
    assert ada.get(f"/api/queries/orders/{order_id}/").json()["shipment_status"] == "DELIVERED"


def test_a_payment_is_refunded(support, ada):
    order_id = ada.placed()
    drain()
    answer = support.post(f"/api/commands/payments/{order_id}/refund/", {"reason": "goodwill"})
    assert (answer.status_code, answer["Location"]) == (202, f"/api/queries/orders/{order_id}/")
    drain()
    assert ada.get(answer["Location"]).json()["status"] == "REFUNDED"
    payment = ada.get(f"/api/queries/payments/{order_id}/").json()
    cup = {"amount": 1999, "currency": "EUR", "exponent": 2}
    assert (payment["status"], payment["amount"], payment["refunded"]) == ("REFUNDED", cup, cup)


def test_a_payment_that_never_was_cannot_be_refunded(support):
    problem(
        support.post(f"/api/commands/payments/{NOBODY}/refund/", {"reason": "goodwill"}),
        404,
        "NotFound",
    )
