"""Every error is a problem (RFC 9457), from whichever layer it comes."""

import pytest
from django.db import OperationalError
from django.test import Client

from eventstore.projections import freshness

from .conftest import Api, pointers, problem

pytestmark = pytest.mark.django_db


def test_an_unknown_address(anonymous):
    found = problem(anonymous.get("/nowhere/?x=1"), 404, "NotFound")
    assert (found["instance"], found["errors"], found["title"]) == ("/nowhere/", [], "Not found")


def test_the_last_slash_is_optional(ada, anonymous):
    for path in ("/api/commands/orders", "/api/auth/login", "/api/webhooks/shipping"):
        with_it, without = (api.post(f"{path}{end}", {}) for end in ("/", "") for api in (ada,))
        assert with_it.status_code == without.status_code != 404
        assert without.json()["instance"] == f"{path}/"
    assert ada.get("/api/queries/orders").status_code == 200
    problem(ada.get("/api/nowhere"), 404, "NotFound")


def test_no_token(anonymous):
    for answer in (
        anonymous.get("/api/queries/orders/"),
        anonymous.get("/api/queries/orders/", Authorization="Basic YTpi"),
    ):
        problem(answer, 401, "NotAuthenticated")
        assert answer["WWW-Authenticate"] == 'Bearer realm="orders"'


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer a b", "Bearer nonsense", "Bearer \xff", "Bearer \0", "Bearer é"]
)
def test_a_token_that_is_none(anonymous, header):
    answer = anonymous.get("/api/queries/orders/", Authorization=header)
    problem(answer, 401, "AuthenticationFailed")
    assert answer["WWW-Authenticate"] == (
        'Bearer realm="orders", error="invalid_token",'
        ' error_description="Invalid or expired token."'
    )


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR "])
def test_the_name_of_a_scheme_has_no_case(ada, anonymous, scheme):
    token = ada.headers["Authorization"].partition(" ")[2]
    answer = anonymous.get("/api/queries/orders/", Authorization=f"{scheme} {token}")
    assert answer.status_code == 200


def test_not_allowed(ada):
    problem(ada.get("/api/queries/stock/CUP/"), 403, "PermissionDenied")


def test_another_method(ada):
    answer = ada.get("/api/commands/orders/")
    problem(answer, 405, "MethodNotAllowed")
    assert answer["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("method", ["POST", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize(
    "path",
    [
        "/health/live",
        "/health/ready",
        "/api/openapi.json",
        "/api/asyncapi.json",
        "/api/docs/",
        "/api/docs/events/",
    ],
)
def test_another_method_of_what_is_only_read(path, method):
    """From another site as well: no CSRF token is required."""
    answer = Client(enforce_csrf_checks=True).generic(method, path)
    problem(answer, 405, "MethodNotAllowed")
    assert answer["Allow"].startswith("GET, HEAD")


def test_another_type_of_body(ada):
    problem(
        ada.post("/api/commands/orders/", b"x", content_type="text/plain"),
        415,
        "UnsupportedMediaType",
    )
    problem(
        ada.post("/api/commands/orders/", b"x=1", content_type="application/x-www-form-urlencoded"),
        415,
    )


def test_a_body_that_says_it_is_packed(ada):
    sent = {"content_type": "application/json", "Content-Encoding": "gzip"}
    problem(ada.post("/api/commands/orders/", b"{}", **sent), 415, "UnsupportedMediaType")


def test_a_charset_that_is_none(ada):
    problem(
        ada.post(
            "/api/commands/orders/", b"[]", content_type="application/json; charset=bz2_codec"
        ),
        400,
    )


@pytest.mark.parametrize(
    "path",
    ["commands/orders/X/cancel/", "auth/login/", "webhooks/payments/stripe/", "webhooks/shipping/"],
)
def test_a_body_of_unsaid_length(ada, path):
    problem(ada.post(f"/api/{path}", **{"Transfer-Encoding": "chunked"}), 411, "LengthRequired")


def test_another_type_of_answer(ada):
    problem(ada.get("/api/queries/orders/", Accept="text/html"), 406, "NotAcceptable")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json;q=0", 406),
        ("*/*, application/json; q=0.000", 406),
        ("*/*;q=0", 406),
        ("text/html;q=0, */*;q=0.1", 200),
        ("application/json;q=0.1", 200),
    ],
)
def test_a_weight_of_zero_means_not_acceptable(ada, accept, status):
    assert ada.get("/api/queries/orders/", Accept=accept).status_code == status


def test_a_host_that_is_not_ours(anonymous):
    problem(anonymous.get("/api/queries/orders/", Host="evil.example"), 400, "BadRequest")


def test_a_fault_of_our_own(ada, monkeypatch):
    def broken(model, key):
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(freshness, "look", broken)
    found = problem(ada.get("/api/queries/products/CUP/"), 500, "InternalServerError")
    assert "secret" not in str(found)


def test_a_database_that_does_not_answer(ada, monkeypatch):
    def broken(model, key):
        raise OperationalError("connection refused")

    monkeypatch.setattr(freshness, "look", broken)
    answer = ada.get("/api/queries/products/CUP/")
    problem(answer, 503, "DatabaseUnavailable")
    assert answer["Retry-After"] == "1"


@pytest.mark.parametrize("given", ["nonsense", "00000000-0000-0000-0000-000000000000"])
def test_a_correlation_id_that_is_none_is_replaced(given):
    answer = Api().get("/nowhere/", **{"X-Correlation-ID": given})
    assert problem(answer, 404)["correlation_id"] != given


def test_all_invalid_parts_are_named_at_once(ada):
    """Unknown members beside invalid ones, and headers beside the body."""
    body = {"items": [{"sku": "CUP", "quantity": 0, "color": "red"}], "address": {}, "gift": True}
    answer = ada.post(
        "/api/commands/orders/", body, **{"Idempotency-Key": "a b", "If-Match": "one"}
    )
    assert {
        "Idempotency-Key",
        "If-Match",
        "#/gift",
        "#/items/0/color",
        "#/items/0/quantity",
    } <= set(pointers(answer))
    assert {"#/address/name", "#/payment_method"} <= set(pointers(answer))
    wrong = {"If-None-Match": "one", "X-Min-Version": "x", "Min-Position": "y"}
    found = ada.get("/api/queries/products/CUP/?version=0&color=red", **wrong)
    assert set(pointers(found)) == {*wrong, "version", "color"}
    wrong.pop("If-None-Match")
    found = ada.get("/api/queries/orders/?limit=0&color=red", **wrong)
    assert set(pointers(found)) == {*wrong, "limit", "color"}
    body = b'{"items": "\\u0000", "address": ["\\u0000", 9007199254740992]}'
    assert pointers(ada.post("/api/commands/orders/", body)) == [
        "#/items",
        "#/address/0",
        "#/address/1",
    ]


def test_a_problem_says_which_part_of_the_request_it_means(ada):
    [parameter] = problem(ada.get("/api/queries/orders/?limit=0"), 400)["errors"]
    assert (parameter["parameter"], "pointer" in parameter) == ("limit", False)
    [header] = problem(ada.get("/api/queries/orders/", **{"Min-Position": "x"}), 400)["errors"]
    assert (header["header"], "pointer" in header) == ("Min-Position", False)


@pytest.mark.parametrize(
    ("query", "choices"),
    [
        ("orders/?status=LOST", "PLACED, CONFIRMED, CANCELLED, REFUNDING, REFUNDED"),
        ("bookings/?exceptions=maybe", "yes, no"),
    ],
)
def test_a_choice_is_refused_with_the_choices(support, query, choices):
    [fault] = problem(support.get(f"/api/queries/{query}"), 400)["errors"]
    assert fault["detail"] == f"Expected one of {choices}."


def test_a_currency_is_refused_with_what_is_one(operator):
    body = {"sku": "TEA", "name": "Tea", "price": {"amount": 1, "currency": "ZZ"}}
    [fault] = problem(operator.post("/api/commands/products/", body), 400)["errors"]
    assert fault["pointer"] == "#/price/currency"
    assert fault["detail"] == "Expected the code of an ISO 4217 currency with a minor unit."


@pytest.mark.parametrize(
    "path",
    [
        "orders/orderdetails/?status=PLACED",
        "orders/orderdetails/?customer__secret=x",
        "auth/user/?password__startswith=x",
        "knox/authtoken/%00/",
        "auth/user/%00/change/",
        "orders/orderdetails/%00/change/",
    ],
)
def test_a_page_of_the_console_is_answered_with_a_page(admin_client, path):
    answer = admin_client.get(f"/admin/{path}", follow=True)
    assert answer.status_code in (200, 400, 404)
    assert answer["Content-Type"].startswith("text/html")
