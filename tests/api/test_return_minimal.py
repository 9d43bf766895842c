"""return=minimal: no body, and all that the client needs is in the headers."""

import json

import pytest

from eventstore.testing import drain

from .conftest import ADDRESS, problem

pytestmark = pytest.mark.usefixtures("shop")

ORDERS = "/api/commands/orders/"
ORDER = {"items": [{"sku": "CUP", "quantity": 1}], "address": ADDRESS, "payment_method": "tok_visa"}
MINIMAL, WHOLE = {"Prefer": "return=minimal"}, {"Prefer": "return=representation"}
# Headers of this one request, or of a body.
OWN = {"X-Correlation-ID", "X-Request-ID", "Content-Length", "Content-Type", "Preference-Applied"}


def lasting(answer):
    return {name: value for name, value in answer.headers.items() if name not in OWN}


def test_the_body_is_left_out_and_nothing_else(ada):
    key = {"Idempotency-Key": "k"}
    first = ada.post(ORDERS, ORDER, **MINIMAL | key)
    assert (first.status_code, first.content, "Content-Length" in first) == (204, b"", False)
    assert (first["Preference-Applied"], "Content-Type" in first) == ("return=minimal", False)
    whole = ada.post(ORDERS, ORDER, **key)
    assert lasting(whole) == lasting(first) | {"Idempotent-Replayed": "true"}
    assert "Preference-Applied" not in whole


def test_the_headers_say_what_to_have_seen_and_are_sent_back_as_they_are(ada):
    answer = ada.post(ORDERS, ORDER, **MINIMAL)
    for name in ("X-Min-Version", "Min-Position"):
        order = ada.get(answer["Location"], **{name: answer[name]})
        assert (order.status_code, order["X-Answered-From"], order.json()["version"]) == (
            200,
            "event-log",
            1,
        )
    drain()
    [order] = ada.get("/api/queries/orders/", **{"Min-Position": answer["Min-Position"]}).json()[
        "data"
    ]
    assert f"/api/queries/orders/{order['order_id']}/" == answer["Location"]


def test_whoever_is_sent_the_body_has_the_same_in_the_headers(ada):
    answer = ada.place()
    assert answer["X-Min-Version"] == str(answer.json()["version"]) == "1"
    assert answer["Min-Position"] == str(answer.json()["position"])


def test_the_next_decision_goes_by_the_version_in_the_header(ada):
    answer = ada.post(ORDERS, ORDER, **MINIMAL)
    cancel = answer["Location"].replace("queries", "commands") + "cancel/"
    seen = {"If-Match": f'"{answer["X-Min-Version"]}"'}
    assert ada.post(cancel, {"reason": "too much tea"}, **MINIMAL | seen)["X-Min-Version"] == "2"
    problem(ada.post(cancel, {"reason": "too much tea"}, **MINIMAL | seen), 412, "Stale")


def test_a_replay_has_a_body_or_none_as_is_preferred_now(ada):
    key = {"Idempotency-Key": "k"}
    first, none, again = (
        ada.post(ORDERS, ORDER, **key | preferred) for preferred in ({}, MINIMAL, WHOLE)
    )
    assert (none.content, none["Preference-Applied"], none["Idempotent-Replayed"]) == (
        b"",
        "return=minimal",
        "true",
    )
    assert (again.content, again["Preference-Applied"]) == (first.content, "return=representation")
    assert lasting(none) == lasting(again) == lasting(first) | {"Idempotent-Replayed": "true"}


def test_an_error_has_its_body_whatever_is_preferred(ada):
    key = {"Idempotency-Key": "k"}
    problem(ada.post(ORDERS, {}, **MINIMAL), 400)
    refused = ORDER | {"items": [{"sku": "NOTHING", "quantity": 1}]}
    first, again = (ada.post(ORDERS, refused, **MINIMAL | key) for _ in range(2))
    assert problem(first, 409, "ProductNotOffered")
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    assert "Preference-Applied" not in first
    assert "Preference-Applied" not in again


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        # What was left has a body always: its 202 has one.
        ("respond-async, return=minimal", "respond-async"),
        ('return="minimal";x=1,wait=1, Respond-Async', "respond-async"),
        ("respond-async, return=representation", "respond-async, return=representation"),
        ("wait=1, RETURN=minimal, foo", "return=minimal"),
        ("return=minimal, return=representation", "return=minimal"),
        ("return=representation", "return=representation"),
        ("return=nothing", None),
        ("return", None),
        ("return=Minimal", None),
        ('foo="return=minimal"', None),
        ("return=minimal x", None),
    ],
)
def test_it_may_stand_among_other_preferences(ada, prefer, applied):
    answer = ada.post(ORDERS, ORDER, Prefer=prefer)
    is_minimal = applied == "return=minimal"
    assert (answer.status_code, answer.get("Preference-Applied")) == (
        204 if is_minimal else 202,
        applied,
    )
    assert (answer.content == b"") == is_minimal
    assert answer["Location"].startswith(
        f"/api/queries/{'commands' if 'respond-async' in str(applied) else 'orders'}/"
    )


def test_what_was_left_leads_by_its_location_to_all_there_is_to_know(ada):
    answer = ada.post(ORDERS, ORDER, Prefer="respond-async, return=minimal")
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert "Min-Position" not in answer
    drain()
    left = ada.get(answer["Location"]).json()
    order = ada.get(left["location"], **{"Min-Position": str(left["position"])})
    assert json.loads(order.content)["status"] == "CONFIRMED"
