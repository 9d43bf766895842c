"""Deferred commands: accepted at once, decided later by a worker, with a status that can be
queried."""

from uuid import uuid4

import pytest

from eventstore import registry
from eventstore.models import DeferredCommand, Event, Parked
from eventstore.money import Money
from eventstore.testing import drain
from orders.commands import PlaceOrder
from orders.order.aggregate import DECISIONS

from .conftest import ADDRESS, problem

pytestmark = pytest.mark.usefixtures("shop")

ORDERS = "/api/commands/orders/"
ORDER = {"items": [{"sku": "CUP", "quantity": 1}], "address": ADDRESS, "payment_method": "tok_visa"}
LATER = {"Prefer": "respond-async"}


def left(api, body=ORDER, path=ORDERS, **headers):
    answer = api.post(path, body, **LATER | headers)
    assert answer.status_code == 202, answer.content
    return answer


def test_a_command_is_accepted_before_it_is_decided(ada):
    answer = left(ada)
    body = answer.json()
    assert body == {
        "command_id": body["command_id"],
        "order_id": body["order_id"],
        "status": "PENDING",
    }
    assert answer["Location"] == f"/api/queries/commands/{body['command_id']}/"
    assert (answer["Preference-Applied"], "Prefer" in answer["Vary"]) == ("respond-async", True)
    assert not Event.objects.filter(stream=f"order-{body['order_id']}").exists()
    pending = ada.get(answer["Location"])
    assert (pending.json()["status"], pending["Retry-After"]) == ("PENDING", "1")
    assert pending.json()["location"] == f"/api/queries/orders/{body['order_id']}/"


def test_what_has_come_of_it_leads_to_the_order(ada):
    answer = left(ada)
    drain()
    status = ada.get(answer["Location"]).json()
    assert (status["status"], status["version"], status["code"]) == ("SUCCEEDED", 1, "")
    order = ada.get(status["location"], **{"Min-Position": str(status["position"])}).json()
    assert (order["order_id"], order["status"]) == (answer.json()["order_id"], "CONFIRMED")
    placed = Event.objects.get(stream=f"order-{order['order_id']}", version=1)
    assert (placed.metadata["actor"], str(placed.correlation_id)) == (
        "ada",
        answer["X-Correlation-ID"],
    )


def test_a_refusal_is_told_by_its_code(ada, operator):
    answer = left(ada, ORDER | {"items": [{"sku": "NOTHING", "quantity": 1}]})
    drain()
    status = ada.get(answer["Location"]).json()
    assert (status["status"], status["code"], status["version"]) == (
        "REFUSED",
        "ProductNotOffered",
        0,
    )
    assert "NOTHING" in status["detail"]


def test_what_no_event_can_hold_is_refused_and_nobody_elses_command_with_it(ada, operator):
    price = {"amount": 10**12, "currency": "EUR"}
    operator.post("/api/commands/products/", {"sku": "MOON", "name": "The moon", "price": price})
    moon = left(ada, ORDER | {"items": [{"sku": "MOON", "quantity": 2**31 - 1}]})
    cup = left(ada)
    drain()
    assert ada.get(moon["Location"]).json()["code"] == "InvalidMessage"
    assert ada.get(cup["Location"]).json()["status"] == "SUCCEEDED"
    assert not Parked.objects.exists()


def test_several_about_one_subject_are_decided_in_the_order_in_which_they_were_left(operator, ada):
    path = "/api/commands/products/CUP/reprice/"
    accepted = [
        left(operator, {"price": {"amount": cents, "currency": "EUR"}}, path) for cents in (1, 2, 3)
    ]
    drain()
    assert [operator.get(each["Location"]).json()["version"] for each in accepted] == [2, 3, 4]
    assert ada.get("/api/queries/products/CUP/").json()["price"]["amount"] == Money(3, "EUR").amount


def test_what_no_worker_can_decide_has_failed(ada, monkeypatch):
    decision = DECISIONS[PlaceOrder]
    broken = decision._replace(decide=lambda states, command: 1 / 0)

    monkeypatch.setitem(registry._decisions(), PlaceOrder, broken)
    answer = left(ada)
    drain()
    assert ada.get(answer["Location"]).json()["status"] == "PENDING"
    Parked.objects.update(status="dead", due_at=None)
    assert ada.get(answer["Location"]).json()["status"] == "FAILED"


def test_a_key_leaves_it_once(ada):
    first = left(ada, **{"Idempotency-Key": "k-1"})
    again = left(ada, **{"Idempotency-Key": "k-1"})
    assert (again.content, again["Location"]) == (first.content, first["Location"])
    assert (again["Idempotent-Replayed"], again["Preference-Applied"]) == ("true", "respond-async")
    assert DeferredCommand.objects.count() == 1
    drain()
    assert Event.objects.filter(type="orders.order_placed").count() == 1


def test_what_was_left_is_its_clients_and_the_staffs_affair(ada, grace, support, anonymous):
    answer = left(ada)
    problem(grace.get(answer["Location"]), 404, "NotFound")
    problem(anonymous.get(answer["Location"]), 401)
    assert support.get(answer["Location"]).status_code == 200
    problem(ada.get(f"/api/queries/commands/{uuid4()}/"), 404, "NotFound")


def test_who_names_a_version_is_answered_at_once(ada):
    order_id = ada.placed()
    answer = ada.post(f"{ORDERS}{order_id}/cancel/", {}, **LATER | {"If-Match": '"1"'})
    assert (answer.json()["version"], "Preference-Applied" in answer) == (2, False)


def test_what_is_wrong_is_told_before_anything_is_left(ada):
    problem(ada.post(ORDERS, {}, **LATER), 400)
    problem(ada.post(f"{ORDERS}{uuid4()}/cancel/", {}, **LATER), 404)
    assert not DeferredCommand.objects.exists()


@pytest.mark.parametrize(
    "prefer",
    ["foo", "respond-sync", 'x="respond-async"', "respond-asynchronously", "a;respond-async"],
)
def test_another_preference_is_passed_over(ada, prefer):
    assert "version" in ada.post(ORDERS, ORDER, Prefer=prefer).json()


@pytest.mark.parametrize(
    "prefer",
    ["Respond-Async", "foo, respond-async", "wait=10, respond-async", "respond-async; x=1"],
)
def test_it_may_stand_among_others(ada, prefer):
    assert ada.post(ORDERS, ORDER, Prefer=prefer)["Preference-Applied"] == "respond-async"
