"""A repeated request with the same idempotency key: executed once, and with the same response."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import psycopg
import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from eventstore import log
from eventstore.api import commands
from eventstore.commands import idempotency
from eventstore.models import Event, StoredResponse
from eventstore.testing import drain
from tests.eventstore.concurrently import parameters

from .conftest import ADDRESS, NOBODY, pointers, problem

pytestmark = pytest.mark.usefixtures("shop")

ORDERS = "/api/commands/orders/"
ORDER = {"items": [{"sku": "CUP", "quantity": 1}], "address": ADDRESS, "payment_method": "tok_visa"}


def ask(api, key, body=ORDER, path=ORDERS):
    return api.post(path, body, **{"Idempotency-Key": key})


def is_replay(answer, first):
    return (
        answer.get("Idempotent-Replayed") == "true"
        and (answer.status_code, answer.content) == (first.status_code, first.content)
        and (answer.get("Location"), answer["Content-Type"])
        == (first.get("Location"), first["Content-Type"])
    )


def orders():
    return Event.objects.filter(type="orders.order_placed").count()


def test_the_same_key_twice_is_one_order_and_one_answer_byte_for_byte(ada):
    first = ask(ada, "k-1")
    assert (first.status_code, "Idempotent-Replayed" in first) == (202, False)
    assert is_replay(ask(ada, "k-1"), first)
    assert orders() == 1
    [event] = log.read_stream(f"order-{first.json()['order_id']}")
    assert first.json()["position"] == event.position


def test_another_key_or_none_is_another_order(ada):
    assert {
        ask(ada, "k-1").status_code,
        ask(ada, "k-2").status_code,
        ada.post(ORDERS, ORDER).status_code,
    } == {202}
    assert orders() == 3


def test_a_quoted_key_is_the_bare_one(ada):
    first = ask(ada, '"8e03978e-40d5"')
    assert is_replay(ask(ada, "8e03978e-40d5"), first)
    assert is_replay(ask(ada, ' "8e03978e-40d5" '), first)
    quoted = ask(ada, r'"a\"b\\c"')
    assert is_replay(ask(ada, r"a\"b\\c".replace("\\\\", "\\").replace('\\"', '"')), quoted)


def test_another_body_under_the_same_key_is_told_so(ada):
    first = ask(ada, "k-1")
    problem(ask(ada, "k-1", ORDER | {"payment_method": "tok_other"}), 422, "KeyReused")
    problem(ask(ada, "k-1", {}), 422, "KeyReused")
    assert is_replay(ask(ada, "k-1"), first)
    assert orders() == 1


def test_the_order_of_members_does_not_matter_and_the_type_of_a_number_does(ada):
    first = ask(ada, "k-1")
    turned = json.dumps(dict(reversed(ORDER.items())), indent=2).encode()
    assert is_replay(ask(ada, "k-1", turned), first)
    problem(ask(ada, "k-1", ORDER | {"items": [{"sku": "CUP", "quantity": 1.0}]}), 422, "KeyReused")


def test_a_key_is_each_persons_and_each_addresss_own(ada, grace):
    hers, theirs = ask(ada, "k-1"), ask(grace, "k-1")
    assert hers.json()["order_id"] != theirs.json()["order_id"]
    cancel = [f"{ORDERS}{answer.json()['order_id']}/cancel/" for answer in (hers, ask(ada, "k-2"))]
    assert [ask(ada, "k-1", {}, path).json()["version"] for path in cancel] == [2, 2]
    problem(ask(grace, "k-1", {}, cancel[0]), 404, "NotFound")


def test_a_key_that_is_sent_twice_is_none(ada):
    """Servers and proxies join the lines of a header with a comma (RFC 9110, 5.3)."""
    for twice in ("a,b", "a, b", "a,a", '"a","b"', '"a", "a"', '"a",b'):
        [fault] = problem(ask(ada, twice), 400)["errors"]
        assert (fault["header"], orders()) == ("Idempotency-Key", 0)


@pytest.mark.parametrize(
    "key", ["", '""', '"a', '"a" "b"', '"a"b"', "a b", '"a b"', "ключ", "\x7f", "x" * 256, '"a\\b"']
)
def test_what_is_no_key_is_named(ada, key):
    assert pointers(ask(ada, key)) == ["Idempotency-Key"]
    assert orders() == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, '"{x}"', "!~", '"a,b"'])
def test_any_other_visible_text_is_one(ada, key):
    first = ask(ada, key)
    assert is_replay(ask(ada, key), first)


def test_a_key_can_be_required(ada, settings):
    settings.EVENTSTORE_IDEMPOTENCY_KEY_REQUIRED = True
    assert pointers(ada.post(ORDERS, ORDER)) == ["Idempotency-Key"]
    assert ask(ada, "k-1").status_code == 202


def test_a_refusal_is_an_answer_too_whatever_has_changed_since(ada, operator):
    body = ORDER | {"items": [{"sku": "MUG", "quantity": 1}]}
    first = ask(ada, "k-1", body)
    problem(first, 409, "ProductNotOffered")
    price = {"amount": 500, "currency": "EUR"}
    operator.post("/api/commands/products/", {"sku": "MUG", "name": "A mug", "price": price})
    assert is_replay(ask(ada, "k-1", body), first)
    assert ask(ada, "k-2", body).status_code == 202


def test_what_was_done_is_answered_again_when_it_could_not_be_done_again(ada):
    order_id = ada.placed()
    first = ask(ada, "k-1", {}, f"{ORDERS}{order_id}/cancel/")
    drain()
    assert is_replay(ask(ada, "k-1", {}, f"{ORDERS}{order_id}/cancel/"), first)


def test_a_repeat_is_answered_whatever_version_it_was_decided_on(ada):
    path = f"/api/commands/orders/{ada.placed()}/cancel/"
    headers = {"Idempotency-Key": "k-1", "If-Match": '"1"'}
    first = ada.post(path, {}, **headers)
    assert first.status_code == 202
    assert is_replay(ada.post(path, {}, **headers), first)
    problem(ada.post(path, {}, **headers | {"Idempotency-Key": "k-2"}), 412, "Stale")


def test_a_repeat_that_writes_nothing_is_kept_too(ada):
    order_id = ada.placed()
    ada.post(f"{ORDERS}{order_id}/cancel/")
    first = ask(ada, "k-1", {}, f"{ORDERS}{order_id}/cancel/")
    assert (first.status_code, first.json()["version"]) == (202, 2)
    assert is_replay(ask(ada, "k-1", {}, f"{ORDERS}{order_id}/cancel/"), first)


def test_what_says_try_again_or_try_otherwise_is_not_kept(ada, anonymous, monkeypatch):
    responses = [
        (ask(ada, "k-1", {}), 400),
        (ask(ada, "k-1", b"{"), 400),
        (ask(anonymous, "k-1"), 401),
        (ask(ada, "k-1", {"quantity": 1}, "/api/commands/stock/CUP/receive/"), 403),
        (ask(ada, "k-1", {}, f"{ORDERS}{NOBODY}/cancel/"), 404),
        (ada.post(ORDERS, ORDER, **{"Idempotency-Key": "k-1", "If-Match": '"7"'}), 412),
    ]
    for answer, status in responses:
        problem(answer, status)
    with monkeypatch.context() as broken:
        broken.setattr(idempotency, "write", lambda *_: 1 / 0)
        problem(ask(ada, "k-1"), 500)
    assert not StoredResponse.objects.exists()
    assert ask(ada, "k-1").status_code == 202


def test_an_answer_that_was_lost_on_its_way_is_had_again(ada, monkeypatch):
    with monkeypatch.context() as lost:
        # The decision is committed by then.
        lost.setattr(commands, "_http_response", lambda *_: 1 / 0)
        problem(ask(ada, "k-1"), 500)
    [placed] = Event.objects.filter(type="orders.order_placed")
    again = ask(ada, "k-1")
    assert (again.status_code, again["Idempotent-Replayed"]) == (202, "true")
    assert f"order-{again.json()['order_id']}" == placed.stream
    assert orders() == 1


def test_twenty_at_once_are_one_order(ada):
    barrier = Barrier(20)

    def go(_):
        barrier.wait()
        try:
            return ask(ada, "k-1")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(go, range(20)))
    [first] = [
        answer
        for answer in responses
        if answer.status_code == 202 and "Idempotent-Replayed" not in answer
    ]
    for answer in responses:
        if answer is not first and not is_replay(answer, first):
            problem(answer, 409, "StillRunning")
            assert answer["Retry-After"] == "1"
    assert orders() == 1
    assert is_replay(ask(ada, "k-1"), first)


def test_a_key_in_hand_elsewhere_is_told_at_once_and_free_when_that_process_has_died(ada):
    ask(ada, "k-0")
    scope = StoredResponse.objects.get().scope.replace("k-0", "k-1")
    row = {"scope": scope, "fingerprint": "f", "status": 202, "headers": {}, "body": "{}"}
    with psycopg.connect(**parameters()) as other:
        other.execute("SELECT eventstore_append_once(%s::jsonb, NULL, NULL)", [json.dumps(row)])
        problem(ask(ada, "k-1"), 409, "StillRunning")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [other.info.backend_pid])
        first = ask(ada, "k-1")
        assert first.status_code == 202
        other.close()
    assert is_replay(ask(ada, "k-1"), first)
    assert orders() == 2


def test_answers_are_kept_for_a_while_and_then_forgotten_batch_by_batch(ada, monkeypatch):
    monkeypatch.setattr(idempotency, "BATCH", 2)
    for number in range(5):
        ask(ada, f"old-{number}")
    StoredResponse.objects.update(stored_at=timezone.now() - timedelta(days=30, seconds=1))
    young = ask(ada, "young")
    assert idempotency.forget(older_than=timedelta(days=30)) == 5
    assert is_replay(ask(ada, "young"), young)
    assert "Idempotent-Replayed" not in ask(ada, "old-1")


def test_a_key_costs_no_statement_and_neither_does_a_replay(ada):
    ask(ada, "k-0")
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert ask(ada, "k-1").status_code == 202
        assert len(captured) == 2, captured.captured_queries
