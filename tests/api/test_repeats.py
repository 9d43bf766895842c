"""A repeat that changes nothing responds with the position it rests on, in every kind of
response."""

import pytest

from eventstore.models import Event
from eventstore.testing import drain

pytestmark = pytest.mark.usefixtures("shop")

LATER = {"Prefer": "respond-async"}


@pytest.fixture
def cancelled(ada):
    order_id = ada.placed()
    assert ada.post(cancel(order_id)).status_code == 202
    return order_id


def cancel(order_id):
    return f"/api/commands/orders/{order_id}/cancel/"


def rests_on(stream):
    last = Event.objects.filter(stream=stream).latest("version")
    return last.version, last.position


def test_cancelling_twice_tells_where_the_cancellation_stands(ada, cancelled):
    before = Event.objects.count()
    body = ada.post(cancel(cancelled)).json()
    assert (body["version"], body["position"]) == rests_on(f"order-{cancelled}")
    assert Event.objects.count() == before


def test_under_a_key_of_its_own_and_when_that_is_said_again(ada, cancelled):
    key = {"Idempotency-Key": "once-more"}
    first, again = (ada.post(cancel(cancelled), **key) for _ in range(2))
    assert (first.json()["version"], first.json()["position"]) == rests_on(f"order-{cancelled}")
    assert (again["Idempotent-Replayed"], again.content) == ("true", first.content)


def test_without_a_body_it_is_in_the_headers(ada, cancelled):
    answer = ada.post(cancel(cancelled), Prefer="return=minimal")
    version, position = rests_on(f"order-{cancelled}")
    assert (answer["X-Min-Version"], answer["Min-Position"]) == (str(version), str(position))


def test_left_to_the_workers(ada, cancelled):
    answer = ada.post(cancel(cancelled), **LATER)
    drain()
    found = ada.get(answer["Location"]).json()
    assert (found["status"], found["version"], found["position"]) == (
        "SUCCEEDED",
        *rests_on(f"order-{cancelled}"),
    )


def test_left_to_the_workers_beside_one_that_changes_something(ada, cancelled):
    """Both are decided in one batch."""
    other = ada.placed()
    answers = [ada.post(cancel(each), **LATER) for each in (other, other, cancelled)]
    drain()
    found = [ada.get(answer["Location"]).json() for answer in answers]
    cancellation = Event.objects.get(
        stream=f"order-{other}", type="orders.order_cancelled"
    ).position
    assert [each["status"] for each in found] == ["SUCCEEDED"] * 3
    assert all(each["position"] >= cancellation for each in found[:2])
    assert found[2]["position"] >= rests_on(f"order-{cancelled}")[1]


def test_a_list_that_holds_it_shows_the_order_cancelled(ada, cancelled):
    position = str(ada.post(cancel(cancelled)).json()["position"])
    # No worker has run: the list does not have the cancellation yet, and says so.
    stale = ada.get("/api/queries/orders/", **{"Min-Position": position, "Prefer": "wait=0"})
    assert stale.status_code == 503
    drain()
    (order,) = ada.get("/api/queries/orders/", **{"Min-Position": position}).json()["data"]
    assert order["status"] == "CANCELLED"


def test_every_command_that_staff_repeats_tells_so(operator):
    """None of these responds that nothing has happened: their object has a history."""
    assert operator.post("/api/commands/products/CUP/delist/").status_code == 202
    for path, body, stream in (
        ("/api/commands/products/CUP/delist/", None, "product-CUP"),
        (
            "/api/commands/products/POT/reprice/",
            {"price": {"amount": 6900, "currency": "EUR"}},
            "product-POT",
        ),
        (
            "/api/commands/products/",
            {"sku": "POT", "name": "A pot", "price": {"amount": 6900, "currency": "EUR"}},
            "product-POT",
        ),
    ):
        found = operator.post(path, body).json()
        assert (found["version"], found["position"]) == rests_on(stream), path
