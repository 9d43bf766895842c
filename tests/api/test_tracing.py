"""A request can be traced by its request id, its correlation id and its trace id."""

import logging
from uuid import UUID

import pytest

from eventstore.middleware import CorrelationFilter

from .conftest import ADDRESS, Api, problem

pytestmark = pytest.mark.django_db

ORDERS = "/api/commands/orders/"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@pytest.fixture
def lines(caplog):
    """The log records as formatted lines."""
    caplog.handler.addFilter(of_requests := CorrelationFilter())
    yield lambda: caplog.records
    caplog.handler.removeFilter(of_requests)


@pytest.mark.parametrize(
    "path", ["/health/live", "/nowhere/", "/admin/login/", "/api/queries/orders/", "/api/docs/"]
)
def test_the_clients_id_of_a_request_comes_back_with_whatever_is_answered(path):
    assert Api().get(path, **{"X-Request-ID": "checkout-7f3a"})["X-Request-ID"] == "checkout-7f3a"


@pytest.mark.parametrize("given", [None, "", "two words", "a\tb", "é", "x" * 129])
def test_a_request_without_an_id_is_given_one(given):
    headers = {} if given is None else {"X-Request-ID": given}
    first, second = (Api().get("/nowhere/", **headers)["X-Request-ID"] for _ in range(2))
    assert UUID(first) != UUID(second)


def test_the_longest_id_is_taken(anonymous):
    longest = "".join(chr(33 + n % 94) for n in range(128))
    assert (
        problem(anonymous.get("/nowhere/", **{"X-Request-ID": longest}), 404)["request_id"]
        == longest
    )


def test_two_requests_of_one_business_transaction_are_told_apart(anonymous):
    together = {"X-Correlation-ID": "0190b5c8-7a54-7cc0-8000-00000000abcd"}
    found = [problem(anonymous.get("/nowhere/", **together), 404) for _ in range(2)]
    assert found[0]["correlation_id"] == found[1]["correlation_id"]
    assert found[0]["request_id"] != found[1]["request_id"]


def test_each_line_of_the_log_names_its_request(grace, lines):
    answer = grace.get("/api/queries/stock/CUP/", **{"X-Request-ID": "checkout-7f3a"})
    assert {line.name for line in lines()} == {"audit", "django.request"}
    for line in lines():
        assert (line.request_id, line.correlation_id) == (
            "checkout-7f3a",
            answer["X-Correlation-ID"],
        )


def test_a_line_that_is_of_no_request_names_none(lines):
    logging.getLogger("tests").warning("by nobody")
    assert [line.request_id for line in lines()] == ["-"]


def test_a_problem_is_of_the_clients_trace(anonymous):
    assert problem(anonymous.get("/nowhere/", traceparent=TRACE), 404)["trace_id"] == TRACE_ID


@pytest.mark.parametrize(
    "given", ["", "nonsense", TRACE.upper(), f"00-{'0' * 32}-00f067aa0ba902b7-01"]
)
def test_where_the_client_has_begun_no_trace_one_begins_that_is_called_as_the_business_transaction(
    anonymous, given
):
    found = problem(anonymous.get("/nowhere/", traceparent=given), 404)
    assert found["trace_id"] == UUID(found["correlation_id"]).hex


def test_a_refusal_that_is_told_again_is_of_the_request_that_was_refused(shop, ada):
    body = {
        "items": [{"sku": "NOTHING", "quantity": 1}],
        "address": ADDRESS,
        "payment_method": "tok_visa",
    }
    first, again = (
        ada.post(ORDERS, body, **{"Idempotency-Key": "k", "X-Request-ID": name})
        for name in ("a", "b")
    )
    assert (again.json(), again.json()["request_id"]) == (first.json(), "a")
    assert again["X-Request-ID"] == "b"
