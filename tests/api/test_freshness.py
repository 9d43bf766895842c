"""Read-your-writes: a client that names a version never gets an older one."""

import time
from types import SimpleNamespace

import pytest
from django.db import connection, connections

from eventstore import registry
from eventstore.commands import bus
from eventstore.models import Subscription
from eventstore.projections import freshness
from eventstore.subscriptions import Projection
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.catalogue import projections
from orders.commands import CancelOrder

from .conftest import NOBODY, pointers, problem

pytestmark = pytest.mark.usefixtures("shop")

ORDERS, PRODUCTS = "/api/queries/orders/", "/api/queries/products/"


@pytest.fixture
def instead_of_sleep(monkeypatch):
    """What a query does instead of sleeping; workers and sandboxes sleep as usual."""
    return lambda act: monkeypatch.setattr(
        "eventstore.api.read_your_writes.time", SimpleNamespace(monotonic=time.monotonic, sleep=act)
    )


@pytest.fixture
def nobody_waits(instead_of_sleep):
    def fail(seconds):
        raise AssertionError("nothing is to be waited for")

    instead_of_sleep(fail)


@pytest.fixture
def delivered_meanwhile(instead_of_sleep):
    """A worker runs while the query waits."""
    instead_of_sleep(lambda seconds: drain())


@pytest.fixture
def standing_replica(settings, monkeypatch):
    """A replica whose replay stops at the call: copies of all tables, in a schema of their own."""

    def make():
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA replica")
            for table in connection.introspection.table_names():
                cursor.execute(f"CREATE TABLE replica.{table} AS TABLE public.{table}")
        options = "-c search_path=replica,public -c default_transaction_read_only=on"
        connections.databases["queries"] = connection.settings_dict | {
            "OPTIONS": {"options": options}
        }
        settings.EVENTSTORE_QUERY_DATABASE = "queries"
        replica = connections["queries"]
        # Django's tests only open databases that were configured when the session began.
        monkeypatch.setattr(
            replica, "ensure_connection", lambda: replica.connection or replica.connect()
        )

    yield make
    if "queries" in connections.databases:
        connections["queries"].close()
        del connections["queries"], connections.databases["queries"]
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS replica CASCADE")


def test_without_a_token_the_read_model_answers_however_old_it_is(ada):
    answer = ada.place()
    problem(ada.get(answer["Location"]), 404)
    drain()
    response = ada.get(answer["Location"])
    assert (response.status_code, response["X-Answered-From"]) == (200, "read-model")


@pytest.mark.parametrize("token", ["X-Min-Version", "Min-Position"])
def test_with_one_the_log_answers_until_the_read_model_can(ada, nobody_waits, token):
    answer = ada.place({"sku": "CUP", "quantity": 2})
    seen = {token: str(answer.json()["version" if token == "X-Min-Version" else "position"])}
    response = ada.get(answer["Location"], **seen)
    assert (response.status_code, response["X-Answered-From"]) == (200, "event-log")
    order = response.json()
    assert (order["status"], order["version"], order["total"]["amount"]) == ("PLACED", 1, 2 * 1999)
    assert (order["position"], order["lines"][0]["name"]) == (answer.json()["position"], "A cup")
    drain()
    assert ada.get(answer["Location"], **seen)["X-Answered-From"] == "read-model"


def test_what_the_row_holds_already_is_gone_on_from(ada, operator):
    order_id = ada.placed()
    drain()
    shipped = operator.post(f"/api/commands/shipments/{order_id}/ship/").json()
    response = ada.get(f"{ORDERS}{order_id}/", **{"Min-Position": str(shipped["position"])})
    assert (response["X-Answered-From"], response.json()["shipment_status"]) == (
        "event-log",
        "SHIPPED",
    )
    assert response.json()["status"] == "CONFIRMED"
    parcel = ada.get(
        f"/api/queries/shipments/{order_id}/", **{"X-Min-Version": str(shipped["version"])}
    )
    assert (parcel["X-Answered-From"], parcel.json()["status"]) == ("event-log", "SHIPPED")
    stale = ada.get(f"/api/queries/shipments/{order_id}/")
    assert (stale["X-Answered-From"], stale.json()["status"]) == ("read-model", "CREATED")


def test_who_waits_is_answered_by_the_read_model_when_it_comes(ada, delivered_meanwhile):
    answer = ada.place()
    response = ada.get(answer["Location"], **{"X-Min-Version": "1", "Prefer": "wait=5"})
    assert (response.status_code, response["X-Answered-From"]) == (200, "read-model")


def test_the_wait_is_bounded_by_the_setting(ada, settings):
    settings.EVENTSTORE_LONGEST_WAIT = 0.05
    answer = ada.place()
    response = ada.get(answer["Location"], **{"X-Min-Version": "1", "Prefer": "wait=100000"})
    assert response["X-Answered-From"] == "event-log"


@pytest.mark.parametrize(
    "prefer",
    ["wait", "wait=", "wait=-1", "wait=x", "wait=1.5", "colour=red", '"', ",,;=", "wait=\xff"],
)
def test_a_preference_that_is_none_is_passed_over(ada, nobody_waits, prefer):
    answer = ada.place()
    assert (
        ada.get(answer["Location"], **{"X-Min-Version": "1", "Prefer": prefer}).status_code == 200
    )


def test_what_has_not_happened_is_not_told(ada, nobody_waits):
    answer = ada.place()
    drain()
    problem(ada.get(answer["Location"], **{"X-Min-Version": "7"}), 412, "NotThereYet")
    problem(ada.get(answer["Location"], **{"Min-Position": str(10**15)}), 412, "NotThereYet")
    problem(
        ada.get(ORDERS, **{"Min-Position": str(10**15), "Prefer": "wait=0"}), 412, "NotThereYet"
    )


def test_nobody_waits_for_what_is_not_there_or_not_theirs(ada, grace, nobody_waits):
    answer = ada.place()
    wait = {"X-Min-Version": "3", "Prefer": "wait=5"}
    theirs, nobodys = grace.get(answer["Location"], **wait), grace.get(f"{ORDERS}{NOBODY}/", **wait)
    assert problem(theirs, 404)["detail"] == problem(nobodys, 404)["detail"]
    drain()
    problem(grace.get(answer["Location"], **wait), 404, "NotFound")


@pytest.mark.parametrize("given", ["", "x", "-1", "1.0", "٣", "1e3", "9" * 30])
@pytest.mark.parametrize("header", ["X-Min-Version", "Min-Position"])
def test_a_token_that_is_none_is_named(ada, header, given):
    assert pointers(ada.get(f"{PRODUCTS}CUP/", **{header: given})) == [header]


def test_a_paused_subscription_and_a_dead_letter_make_nobody_stale(ada, operator, monkeypatch):
    order_id = ada.placed()
    drain()
    with monkeypatch.context() as broken:
        broken.setitem(
            projections.CATALOGUE.evolve, projections.ProductRepriced, lambda row, event: 1 / 0
        )
        answer = operator.post(
            "/api/commands/products/CUP/reprice/", {"price": {"amount": 5, "currency": "EUR"}}
        )
        drain()
    seen = {"Min-Position": str(answer.json()["position"])}
    response = ada.get(answer["Location"], **seen)
    assert (response["X-Answered-From"], response.json()["price"]["amount"]) == ("event-log", 5)
    assert float(response["X-Projection-Lag"]) > 0
    Subscription.objects.filter(name="orders.details").update(paused=True)
    cancelled = ada.post(f"/api/commands/orders/{ada.placed()}/cancel/")
    drain()
    response = ada.get(cancelled["Location"], **{"X-Min-Version": "2"})
    assert (response["X-Answered-From"], response.json()["status"]) == ("event-log", "CANCELLED")
    assert ada.get(f"{ORDERS}{order_id}/").json()["status"] == "CONFIRMED"


def test_an_order_that_no_read_model_knows_is_its_customers_all_the_same(ada, grace):
    Subscription.objects.filter(name="orders.details").update(paused=True)
    answer = ada.place()
    drain()
    path = f"/api/queries/payments/{answer.json()['order_id']}/"
    assert ada.get(path).json()["status"] == "COMPLETED"
    problem(grace.get(path), 404, "NotFound")


def test_a_list_is_as_fresh_as_is_asked_or_says_try_again(ada, instead_of_sleep):
    answer = ada.place()
    seen = {"Min-Position": str(answer.json()["position"])}
    late = ada.get(ORDERS, **seen, Prefer="wait=0")
    problem(late, 503, "ReadModelBehind")
    assert late["Retry-After"] == "1"
    assert ada.get(ORDERS).json()["data"] == []
    instead_of_sleep(lambda seconds: drain())
    assert [order["order_id"] for order in ada.get(ORDERS, **seen).json()["data"]] == [
        answer.json()["order_id"]
    ]
    assert pointers(ada.get(ORDERS, **{"X-Min-Version": "1"})) == ["X-Min-Version"]


def test_what_a_list_does_not_hear_of_does_not_keep_it_waiting(ada, nobody_waits):
    answer = ada.place()
    assert ada.get(PRODUCTS, **{"Min-Position": str(answer.json()["position"])}).status_code == 200


def test_every_answer_says_where_its_read_model_stands(ada):
    before = ada.get(f"{PRODUCTS}CUP/")
    assert (int(before["X-Projection-Position"]) > 0, before["X-Projection-Lag"]) == (True, "0.000")
    bus.dispatch(ReceiveStock("CUP", 1))
    ada.place()
    late = ada.get(ORDERS)
    assert float(late["X-Projection-Lag"]) > 0
    assert "X-Projection-Position" in ada.get(f"{ORDERS}{NOBODY}/")
    drain()
    assert int(ada.get(ORDERS)["X-Projection-Position"]) > int(late["X-Projection-Position"])
    assert ada.get(ORDERS)["X-Projection-Lag"] == "0.000"


def test_an_answer_of_the_past_says_where_its_read_model_stands_as_any_other_does(ada, grace):
    answer = ada.place()
    drain()
    now = ada.get(answer["Location"])
    for query in ("?version=1", "?at=2999-01-01T00:00:00Z"):
        past = ada.get(answer["Location"] + query)
        assert (past.status_code, past["X-Answered-From"]) == (200, "event-log")
        assert _stands(past) == _stands(now) == (now["X-Projection-Position"], "0.000")
        assert _stands(
            ada.get(answer["Location"] + query, **{"If-None-Match": past["ETag"]})
        ) == _stands(now)
        assert _stands(grace.get(answer["Location"] + query)) == _stands(now)
    assert _stands(ada.get(f"{answer['Location']}?version=3")) == _stands(now)
    bus.dispatch(CancelOrder(ada.placed(), "too much tea"))
    late = ada.get(f"{answer['Location']}?version=1")
    assert (late["X-Projection-Position"], float(late["X-Projection-Lag"]) > 0) == (
        now["X-Projection-Position"],
        True,
    )


def test_a_refusal_says_where_the_read_model_stands_too(ada, grace, nobody_waits):
    answer = ada.place()
    drain()
    stands = _stands(ada.get(answer["Location"]))
    never = {"Min-Position": str(10**15), "Prefer": "wait=0"}
    for response, status in (
        (grace.get(answer["Location"]), 404),
        (ada.get(answer["Location"], **never), 412),
        (ada.get(ORDERS, **never), 412),
        (ada.get(f"{ORDERS}{NOBODY}/history/"), 404),
        (grace.get(f"{answer['Location']}progress/"), 404),
    ):
        assert (response.status_code, _stands(response)) == (status, stands)


def test_what_is_folded_from_the_log_is_what_the_read_models_come_to(ada, operator, support):
    """For every projection in the wiring: fails if one is folded from streams that freshness does
    not read."""
    orders = [
        ada.placed(),
        ada.placed(payment_method="tok_declined"),
        ada.placed({"sku": "CUP", "quantity": 100}),
    ]
    drain()
    operator.post(f"/api/commands/shipments/{orders[0]}/ship/")
    operator.post(f"/api/commands/shipments/{orders[0]}/deliver/")
    support.post(f"/api/commands/payments/{orders[0]}/refund/", {"reason": "goodwill"})
    operator.post("/api/commands/products/POT/delist/")
    kept = ada.placed({"sku": "CUP", "quantity": 3})
    drain()
    back = {"lines": [{"number": 1, "quantity": 2}], "reason": "two too many"}
    return_id = ada.post(f"/api/commands/orders/{kept}/returns/", back).json()["return_id"]
    drain()
    operator.post(f"/api/commands/returns/{return_id}/receive/", {})
    drain()
    compared = 0
    for projection in (
        each for each in registry.subscriptions().values() if isinstance(each, Projection)
    ):
        for row in projection.model.objects.all():
            events = freshness.events(projection, row.pk, None)
            assert events[-1].position == row.position, row
            folded = freshness.as_of(projection.model, row.pk, at=events[-1].recorded_at)
            assert _values(folded) == _values(row)
            compared += 1
    assert compared >= 8


def test_the_order_as_it_was_at_a_version_and_at_a_time(ada, grace):
    answer = ada.place()
    drain()
    now = ada.get(answer["Location"]).json()
    first = ada.get(f"{answer['Location']}?version=1")
    assert (first.status_code, first["X-Answered-From"]) == (200, "event-log")
    assert first.json() | {"position": 0} == now | {
        "position": 0,
        "version": 1,
        "status": "PLACED",
        "payment_status": "NONE",
        "reservation_status": "NONE",
        "shipment_status": "NONE",
        "tracking": "",
    }
    assert ada.get(f"{answer['Location']}?version=2").json() == now
    problem(ada.get(f"{answer['Location']}?version=3"), 404, "NotFound")
    problem(grace.get(f"{answer['Location']}?version=1"), 404, "NotFound")
    assert ada.get(f"{answer['Location']}?at=2999-01-01T00:00:00Z").json() == now
    problem(
        ada.get(f"{answer['Location']}?at={now['placed_at'][:4]}-01-01T00:00:00Z"), 404, "NotFound"
    )


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("version=0", "version"),
        ("version=x", "version"),
        ("at=yesterday", "at"),
        ("at=2026-13-01T00:00:00Z", "at"),
        ("at=%00", "at"),
        ("version=1&at=2026-01-01T00:00:00Z", "at"),
        ("when=1", "when"),
    ],
)
def test_a_moment_that_is_none_is_named(ada, query, pointer):
    assert pointers(ada.get(f"{PRODUCTS}CUP/?{query}")) == [pointer]


def test_a_replica_that_lags_makes_nobody_stale(ada, standing_replica):
    known = ada.place()
    drain()
    standing_replica()
    order_id = known.json()["order_id"]
    answer = ada.place()
    drain()
    seen = {"Min-Position": str(answer.json()["position"])}
    assert ada.get(known["Location"], **{"X-Min-Version": "2"})["X-Answered-From"] == "read-model"
    problem(ada.get(answer["Location"]), 404, "NotFound")
    assert ada.get(answer["Location"], **{"X-Min-Version": "1"})["X-Answered-From"] == "event-log"
    assert ada.get(answer["Location"], **seen).json()["status"] == "CONFIRMED"
    assert [order["order_id"] for order in ada.get(ORDERS).json()["data"]] == [order_id]
    assert len(ada.get(ORDERS, **seen).json()["data"]) == 2


def test_a_replica_that_has_a_later_commit_of_an_earlier_position_outstanding_makes_nobody_stale(
    ada, standing_replica
):
    """Positions do not become visible in order. On the primary, a committed command is visible; on
    a replica it may not be."""
    ada.place()
    drain()
    standing_replica()
    answer = ada.place()
    bus.dispatch(ReceiveStock("CUP", 1, "later, but committed earlier"))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO replica.eventstore_event SELECT * FROM public.eventstore_event"
            " WHERE position > %s AND type = 'inventory.stock_received'",
            [answer.json()["position"]],
        )
        assert cursor.rowcount == 1
    drain()
    assert (
        len(ada.get(ORDERS, **{"Min-Position": str(answer.json()["position"])}).json()["data"]) == 2
    )


def _stands(answer):
    return answer["X-Projection-Position"], answer["X-Projection-Lag"]


def _values(row):
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_a_wait_is_acknowledged_whatever_its_length(ada):
    """RFC 7240: it bounds the time of the response, and each response comes within it."""
    order_id = ada.placed()
    drain()
    for path in (f"orders/{order_id}/", "orders/", f"orders/{order_id}/history/"):
        for wait in ("0", "2", "100"):
            answer = ada.get(f"/api/queries/{path}", Prefer=f"foo, wait={wait}")
            assert (answer.status_code, answer["Preference-Applied"]) == (200, f"wait={wait}")
            assert "Prefer" in answer["Vary"]
        for none in ("wait=x", "respond-async", ""):
            assert "Preference-Applied" not in ada.get(f"/api/queries/{path}", Prefer=none)


def test_a_list_takes_both_headers_of_a_command(ada):
    answer = ada.place()
    drain()
    both = {name: answer[name] for name in ("X-Min-Version", "Min-Position")}
    assert len(ada.get("/api/queries/orders/", **both).json()["data"]) == 1
    alone = {"X-Min-Version": "1"}
    problem(ada.get("/api/queries/orders/", **alone), 400)
