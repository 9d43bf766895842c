"""An order over the API: placed, fulfilled, queried, cancelled."""

import time

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventstore import log
from eventstore.commands import repository
from eventstore.models import Event
from eventstore.money import Money
from eventstore.testing import drain
from orders.events import ProductDelisted, ProductRepriced
from orders.order.aggregate import ORDER
from tests.eventstore.concurrently import in_thread, parameters

from .conftest import ADDRESS, NOBODY, problem

pytestmark = pytest.mark.usefixtures("shop")

NONE_BACK = {"announced": 0, "returned": 0}


def test_a_placed_order_is_accepted_before_anything_has_come_of_it(ada):
    answer = ada.place({"sku": "CUP", "quantity": 2})
    body = answer.json()
    assert answer.status_code == 202
    assert body == {
        "order_id": body["order_id"],
        "version": 1,
        "position": body["position"],
        "status": "PROCESSING",
    }
    assert answer["Location"] == f"/api/queries/orders/{body['order_id']}/"
    assert body["position"] > 0
    problem(ada.get(answer["Location"]), 404, "NotFound")


def test_the_location_tells_all_about_the_order_once_it_is_fulfilled(ada):
    answer = ada.place({"sku": "CUP", "quantity": 2}, {"sku": "POT", "quantity": 1})
    drain()
    order = ada.get(answer["Location"]).json()
    position, placed_at, tracking = (
        order.pop("position"),
        order.pop("placed_at"),
        order.pop("tracking"),
    )
    assert position > answer.json()["position"]
    assert placed_at.endswith("Z")
    assert tracking
    assert order == {
        "order_id": answer.json()["order_id"],
        "customer_id": ada.customer_id,
        "reference": "",
        "status": "CONFIRMED",
        "reason": "",
        "payment_status": "COMPLETED",
        "reservation_status": "RESERVED",
        "shipment_status": "CREATED",
        "total": {"amount": 2 * 1999 + 6900, "currency": "EUR", "exponent": 2},
        "lines": [
            {"sku": "CUP", "name": "A cup", "quantity": 2, "unit_price": _euros(1999)} | NONE_BACK,
            {"sku": "POT", "name": "A pot", "quantity": 1, "unit_price": _euros(6900)} | NONE_BACK,
        ],
        "charges": [],
        "return_status": "NONE",
        "refunded": _euros(0),
        "address": ADDRESS,
        "version": 2,
    }


def test_the_event_says_who_asked_and_for_which_transaction(ada):
    correlation_id = "0190b5c8-7a54-7cc0-8000-00000000abcd"
    body = {
        "items": [{"sku": "CUP", "quantity": 1}],
        "address": ADDRESS,
        "payment_method": "tok_visa",
    }
    answer = ada.post("/api/commands/orders/", body, **{"X-Correlation-ID": correlation_id})
    [event] = log.read_stream(f"order-{answer.json()['order_id']}")
    assert answer["X-Correlation-ID"] == correlation_id
    assert str(event.metadata.correlation_id) == correlation_id
    assert (event.metadata.actor, event.metadata.command) == ("ada", "orders.place_order")


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (TRACE, TRACE),
        (TRACE.replace("00-", "ff-", 1), ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", ""),
        (TRACE.upper(), ""),
        (TRACE.replace("f", "g"), ""),
        ("x" * 55, ""),
        ("", ""),
    ],
)
def test_the_clients_trace_is_kept_and_one_that_is_none_is_passed_over(ada, given, kept):
    body = {
        "items": [{"sku": "CUP", "quantity": 1}],
        "address": ADDRESS,
        "payment_method": "tok_visa",
    }
    answer = ada.post("/api/commands/orders/", body, traceparent=given)
    [event] = log.read_stream(f"order-{answer.json()['order_id']}")
    assert event.metadata.trace == kept


def test_the_price_that_the_customer_saw_is_honoured_or_the_order_refused(ada):
    assert ada.place({"sku": "CUP", "quantity": 1, "seen": _euros(1999)}).status_code == 202
    assert (
        ada.place(
            {"sku": "CUP", "quantity": 1, "seen": {"amount": 1999, "currency": "EUR"}}
        ).status_code
        == 202
    )
    rejection = problem(
        ada.place({"sku": "CUP", "quantity": 1, "seen": _euros(1000)}), 409, "PriceChanged"
    )
    assert "CUP costs 19.99 EUR, not 10.00 EUR." in rejection["detail"]
    assert rejection["title"] == "Price changed"


def test_what_is_not_in_the_catalogue_is_refused(ada, operator):
    problem(ada.place({"sku": "NOTHING", "quantity": 1}), 409, "ProductNotOffered")
    operator.post("/api/commands/products/CUP/delist/")
    problem(ada.place({"sku": "CUP", "quantity": 1}), 409, "ProductNotOffered")


def test_an_order_in_two_currencies_is_refused(ada, operator):
    price = {"amount": 500, "currency": "GBP"}
    operator.post("/api/commands/products/", {"sku": "MUG", "name": "A mug", "price": price})
    problem(
        ada.place({"sku": "CUP", "quantity": 1}, {"sku": "MUG", "quantity": 1}),
        409,
        "MixedCurrencies",
    )


def test_a_total_beyond_64_bits_is_refused_at_the_door(ada, operator):
    price = {"amount": 10**12, "currency": "EUR"}
    operator.post("/api/commands/products/", {"sku": "MOON", "name": "The moon", "price": price})
    problem(ada.place({"sku": "MOON", "quantity": 2**31 - 1}), 400, "InvalidMessage")


def test_an_order_that_no_event_could_hold_is_refused_at_the_door(ada, operator):
    operator.post("/api/commands/products/", {"sku": "LONG", "name": "x" * 255, "price": _euros(1)})
    problem(ada.place(*[{"sku": "LONG", "quantity": 1}] * 10_000), 400, "Unstorable")


def test_a_cancelled_order_is_undone(ada):
    order_id = ada.placed()
    answer = ada.post(f"/api/commands/orders/{order_id}/cancel/", {"reason": "changed my mind"})
    assert answer.status_code == 202
    assert answer.json()["version"] == 2
    drain()
    order = ada.get(answer["Location"]).json()
    assert (order["status"], order["reason"], order["version"]) == (
        "CANCELLED",
        "changed my mind",
        2,
    )


def test_cancelling_twice_says_where_the_order_stands(ada):
    order_id = ada.placed()
    first = ada.post(f"/api/commands/orders/{order_id}/cancel/")
    again = ada.post(f"/api/commands/orders/{order_id}/cancel/")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["version"] == again.json()["version"] == 2


def test_a_confirmed_order_cannot_be_cancelled(ada):
    order_id = ada.placed()
    drain()
    problem(ada.post(f"/api/commands/orders/{order_id}/cancel/"), 409, "OrderNotOpen")


def test_whose_order_it_is_is_known_before_any_read_model_knows_it(ada, grace, support):
    order_id = ada.placed()
    problem(grace.post(f"/api/commands/orders/{order_id}/cancel/"), 404, "NotFound")
    problem(grace.post(f"/api/commands/orders/{NOBODY}/cancel/"), 404, "NotFound")
    assert (
        support.post(f"/api/commands/orders/{order_id}/cancel/", {"reason": "by phone"}).status_code
        == 202
    )


def test_a_race_lost_every_time_says_try_again(operator, monkeypatch):
    load = repository.load

    def overtaken(streams):
        known = load(streams)
        log.append("product-CUP", [ProductRepriced("CUP", Money(1, "EUR"))], expected=log.ANY)
        return known

    monkeypatch.setattr(repository, "load", overtaken)
    answer = operator.post("/api/commands/products/CUP/reprice/", {"price": _euros(2500)})
    problem(answer, 409, "WrongExpectedVersion")
    assert answer["Retry-After"] == "1"


def test_placing_takes_two_statements_token_and_append(ada):
    ada.placed()
    with CaptureQueriesContext(connection) as captured:
        ada.placed()
    assert len(captured) == 2, captured.captured_queries


class TestWhatAProcessRemembersOfTheCatalogue:
    """It places the order on cached state; events that another process has appended since still
    count."""

    @pytest.fixture(autouse=True)
    def _remembered(self, shop, ada):
        ada.placed()
        recalled = repository.recall(["order-x", "product-CUP"], creates=ORDER)
        assert recalled.states["product-CUP"].state.offered

    def total_of(self, order_id):
        return [message.body.total.amount for message in log.read_stream(f"order-{order_id}")]

    def elsewhere(self, event):
        log.append("product-CUP", [event], expected=log.ANY)

    def test_the_price_is_the_newest(self, ada):
        self.elsewhere(ProductRepriced("CUP", Money(2500, "EUR")))
        with CaptureQueriesContext(connection) as captured:
            order_id = ada.placed()
        assert self.total_of(order_id) == [2500]
        assert len(captured) == 5, "token, append that is taken back, snapshots, load, append"

    def test_what_is_offered_no_more_is_refused(self, ada):
        self.elsewhere(ProductDelisted("CUP"))
        problem(ada.place(), 409, "ProductNotOffered")

    def test_the_price_that_the_customer_saw_is_compared_with_the_newest(self, ada):
        self.elsewhere(ProductRepriced("CUP", Money(2500, "EUR")))
        assert ada.place({"sku": "CUP", "quantity": 1, "seen": _euros(2500)}).status_code == 202
        problem(ada.place({"sku": "CUP", "quantity": 1, "seen": _euros(1999)}), 409, "PriceChanged")

    def test_a_lock_that_was_not_to_be_had_is_asked_for_again(self, ada):
        with psycopg.connect(**parameters()) as other, connection.cursor() as cursor:
            other.execute("LOCK TABLE eventstore_event IN SHARE ROW EXCLUSIVE MODE")
            cursor.execute("SET lock_timeout = '30ms'")
            freed = in_thread(lambda: (time.sleep(0.05), other.commit()))
            assert ada.place().status_code == 202
            freed.result(5)
        connection.close()

    def test_nothing_is_recorded_twice(self, ada):
        before = Event.objects.filter(type="orders.order_placed").count()
        self.elsewhere(ProductRepriced("CUP", Money(2500, "EUR")))
        ada.placed()
        assert Event.objects.filter(type="orders.order_placed").count() == before + 1


def test_an_order_is_one_query_beside_the_token(ada):
    order_id = ada.placed()
    drain()
    with CaptureQueriesContext(connection) as captured:
        assert ada.get(f"/api/queries/orders/{order_id}/").status_code == 200
    assert len(captured) == 2, captured.captured_queries


def _euros(amount):
    return {"amount": amount, "currency": "EUR", "exponent": 2}


@pytest.mark.parametrize("api", ["orders", "payments", "shipments", "returns"])
def test_lists_are_newest_first_whatever_the_idempotency_keys(ada, support, api):
    """The ids of orders and returns that are made from other keys than UUIDs are random."""
    body = {"items": [{"sku": "CUP", "quantity": 1}], "address": ADDRESS}
    body |= {"payment_method": "tok_visa"}
    placed = []
    for number in range(6):
        answer = ada.post("/api/commands/orders/", body, **{"Idempotency-Key": f"k{number}"})
        placed.append(answer.json()["order_id"])
        drain()
    assert placed != sorted(placed)
    expected, member = placed[::-1], "order_id"
    if api == "returns":
        back = {"lines": [{"number": 1, "quantity": 1}], "reason": "too small"}
        expected, member = [], "return_id"
        for order_id in placed:
            path = f"/api/commands/orders/{order_id}/returns/"
            answer = ada.post(path, back, **{"Idempotency-Key": order_id[:18]})
            expected.insert(0, answer.json()["return_id"])
            drain()
    listed, path = [], f"/api/queries/{api}/?limit=2"
    while path:
        page = support.get(path).json()
        listed += [row[member] for row in page["data"]]
        path = page["next"]
    assert listed == expected
