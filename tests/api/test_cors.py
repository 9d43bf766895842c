"""Pages of other origins call the API from a browser: those that a setting names (Fetch, CORS)."""

import pytest

from .conftest import Api, problem

pytestmark = pytest.mark.django_db

PAGE = "https://pages.example"
ORDERS = "/api/commands/orders/"


@pytest.fixture
def allowed(settings):
    settings.CORS_ALLOWED_ORIGINS = [PAGE]


def preflight(path, origin=PAGE, method="POST"):
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return Api().client.options(
        path, headers=asked | {"Access-Control-Request-Headers": "authorization,idempotency-key"}
    )


@pytest.mark.parametrize(
    "path", [ORDERS, "/api/queries/orders/", "/api/auth/login/", "/api/openapi.json"]
)
def test_a_preflight_needs_no_token(allowed, path):
    answer = preflight(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["Access-Control-Allow-Origin"] == PAGE
    names = answer["Access-Control-Allow-Headers"].split(", ")
    assert {"authorization", "content-type", "idempotency-key", "if-match", "prefer"} <= set(names)
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert "origin" in answer["Vary"].lower()
    # A token is sent by the page's own code, and cookies by nobody.
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://pages.example.evil.example", "null", "http://pages.example"],
)
def test_another_origin_gets_an_answer_that_allows_nothing(allowed, origin):
    answer = preflight(ORDERS, origin)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_without_the_setting_no_origin_is_allowed():
    assert "Access-Control-Allow-Origin" not in preflight(ORDERS)
    assert "Access-Control-Allow-Origin" not in Api().get("/api/queries/orders/", Origin=PAGE)


def test_a_page_reads_the_answer_its_headers_and_its_errors(allowed, ada):
    answer = ada.get("/api/queries/orders/", Origin=PAGE)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, PAGE)
    exposed = answer["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Location", "Retry-After", "X-Min-Version", "Min-Position", "Link"} <= set(
        exposed
    )
    refused = Api().get("/api/queries/orders/", Origin=PAGE)
    problem(refused, 401, "NotAuthenticated")
    assert refused["Access-Control-Allow-Origin"] == PAGE


def test_the_console_is_not_the_api(allowed):
    assert "Access-Control-Allow-Origin" not in preflight("/admin/login/")
