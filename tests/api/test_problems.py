"""Every error is a problem (RFC 9457), from whichever layer it comes."""

import pytest
from django.db import OperationalError
from django.test import Client

from eventstore.projections import freshness

from .conftest import Api, problem

pytestmark = pytest.mark.django_db


def test_an_unknown_address(anonymous):
    found = problem(anonymous.get("/nowhere/?x=1"), 404, "NotFound")
    assert (found["instance"], found["errors"], found["title"]) == ("/nowhere/", [], "Not found")


def test_a_post_without_its_last_slash_is_not_turned_into_a_get(ada):
    problem(ada.post("/api/commands/orders", {}), 404, "NotFound")
    problem(ada.post("/api/auth/login", {}), 404, "NotFound")


def test_no_token(anonymous):
    answer = anonymous.get("/api/queries/orders/")
    problem(answer, 401, "NotAuthenticated")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer a b", "Bearer nonsense", "Bearer \xff", "Bearer \0", "Bearer é"]
)
def test_a_token_that_is_none(anonymous, header):
    answer = anonymous.get("/api/queries/orders/", Authorization=header)
    problem(answer, 401, "AuthenticationFailed")
    assert answer["WWW-Authenticate"] == "Bearer"


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
