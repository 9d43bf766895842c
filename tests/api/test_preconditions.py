"""Commands with If-Match: applied to that version, or not at all."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections

from eventstore import log
from eventstore.commands import repository
from eventstore.testing import drain
from orders.events import OrderCancelled

from .conftest import NOBODY, pointers, problem

pytestmark = pytest.mark.usefixtures("shop")


def cancel(api, order_id, tags):
    return api.post(f"/api/commands/orders/{order_id}/cancel/", **{"If-Match": tags})


@pytest.mark.parametrize("tags", ['"1"', "*", '"7", "1"', 'W/"1","1"', '"1.99"', ' "1" '])
def test_the_version_that_was_seen_is_changed(ada, tags):
    assert cancel(ada, ada.placed(), tags).json()["version"] == 2


@pytest.mark.parametrize(
    "tags", ['"2"', '"0"', 'W/"1"', '""', '"one"', '"01x"', 'W/"1", "2"', '"99999999999999999999"']
)
def test_another_version_or_a_weak_tag_is_not(ada, tags):
    order_id = ada.placed()
    answer = cancel(ada, order_id, tags)
    assert answer.status_code == 412
    assert (answer.json()["code"], answer.json()["current_version"]) == ("Stale", 1)
    assert len(list(log.read_stream(f"order-{order_id}"))) == 1


@pytest.mark.parametrize("tags", ["", "1", '"1', "'1'", '"1" "2"', "**", 'w/"1"', '*, "1"'])
def test_what_is_no_tag_is_named(ada, tags):
    assert pointers(cancel(ada, ada.placed(), tags)) == ["If-Match"]


def test_whose_order_it_is_comes_before_which_version(ada, grace):
    problem(cancel(grace, ada.placed(), '"7"'), 404, "NotFound")
    problem(cancel(ada, NOBODY, "*"), 404, "NotFound")


def test_what_is_not_there_yet_has_no_version_to_match(operator):
    body = {"sku": "MUG", "name": "A mug", "price": {"amount": 500, "currency": "EUR"}}
    answer = operator.post("/api/commands/products/", body, **{"If-Match": "*"})
    assert (answer.status_code, answer.json()["current_version"]) == (412, 0)


def test_who_is_overtaken_between_the_look_and_the_write_is_told_so(ada, monkeypatch):
    order_id, load = ada.placed(), repository.load

    def overtaken(streams):
        known = load(streams)
        monkeypatch.setattr(repository, "load", load)
        log.append(f"order-{order_id}", [OrderCancelled(order_id, "by another")], expected=1)
        return known

    # Loaded once for its owner and once for the decision: the second load sees another version.
    monkeypatch.setattr(
        repository,
        "load",
        lambda streams: (monkeypatch.setattr(repository, "load", overtaken), load(streams))[1],
    )
    answer = cancel(ada, order_id, '"1"')
    assert (answer.status_code, answer.json()["current_version"]) == (412, 2)


def test_what_the_client_has_already_is_not_sent_again(ada):
    order_id = ada.placed()
    drain()
    path = f"/api/queries/orders/{order_id}/"
    first = ada.get(path)
    assert (first.status_code, first["Cache-Control"]) == (200, "private, no-cache")
    for tags in (first["ETag"], f'"other", {first["ETag"]}', f"W/{first['ETag']}", "*"):
        again = ada.get(path, **{"If-None-Match": tags, "Accept-Encoding": "gzip"})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
        assert (again["Vary"], again["Cache-Control"]) == (first["Vary"], first["Cache-Control"])
    assert ada.get(path, **{"If-None-Match": '"other"'}).status_code == 200
    assert pointers(ada.get(path, **{"If-None-Match": "other"})) == ["If-None-Match"]
    not_there = {"If-None-Match": "other", "X-Min-Version": "99"}
    assert pointers(ada.get(path, **not_there)) == ["If-None-Match"], (
        "before anybody looks how far things have come"
    )


def test_a_row_that_changes_without_its_stream_has_another_tag(ada, operator):
    order_id = ada.placed()
    drain()
    path = f"/api/queries/orders/{order_id}/"
    before = ada.get(path)
    operator.post(f"/api/commands/shipments/{order_id}/ship/")
    drain()
    after = ada.get(path, **{"If-None-Match": before["ETag"]})
    assert (after.status_code, after.json()["shipment_status"]) == (200, "SHIPPED")
    assert after.json()["version"] == before.json()["version"]


def test_the_tag_of_a_query_serves_a_command(ada):
    order_id = ada.placed(payment_method="tok_declined")
    drain()
    tag = ada.get(f"/api/queries/orders/{order_id}/")["ETag"]
    assert cancel(ada, order_id, tag).json()["version"] == 2


def test_of_two_who_decide_on_the_same_version_at_once_one_is_told_so(operator):
    path, body = "/api/commands/products/CUP/reprice/", {"price": {"amount": 5, "currency": "EUR"}}
    barrier = Barrier(8)

    def go(number):
        barrier.wait()
        try:
            price = {"price": {"amount": number + 1, "currency": "EUR"}}
            return operator.post(path, price, **{"If-Match": '"1"'}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(go, range(8))) == [202] + [412] * 7
    assert operator.post(path, body, **{"If-Match": '"2"'}).status_code == 202


@pytest.mark.parametrize("kind", ["orders", "payments", "shipments"])
def test_one_tag_means_the_same_bytes_from_the_read_model_and_from_the_log(ada, kind):
    path = f"/api/queries/{kind}/{ada.placed()}/"
    drain()
    now = ada.get(path)
    then = ada.get(f"{path}?at=9999-01-01T00:00:00Z")
    assert (now["X-Answered-From"], then["X-Answered-From"]) == ("read-model", "event-log")
    assert (now["ETag"], now.content) == (then["ETag"], then.content)


def test_a_response_without_content_has_no_headers_about_it(ada):
    path = f"/api/queries/orders/{ada.placed()}/"
    drain()
    same = ada.get(path, **{"If-None-Match": ada.get(path)["ETag"]})
    gone = ada.post("/api/auth/logout/")
    assert (same.status_code, gone.status_code) == (304, 204)
    assert not {"Content-Length", "Content-Type"} & {*same.headers}
    assert "Content-Length" not in gone


@pytest.mark.parametrize("tags", [', ,"1"', '"1",,', '\t,"9" , ,"1.5",'])
def test_empty_elements_of_a_list_are_ignored(ada, tags):
    assert cancel(ada, ada.placed(), tags).status_code == 202


def test_no_answer_is_packed_which_would_make_its_tag_weak(ada):
    order_id = ada.placed()
    drain()
    for path in (
        f"/api/queries/orders/{order_id}/",
        "/api/queries/orders/",
        "/api/queries/products/CUP/",
    ):
        answer = ada.get(path, **{"Accept-Encoding": "gzip, br, deflate"})
        assert "Content-Encoding" not in answer
        assert not answer.get("ETag", "").startswith("W/")
    tag = ada.get(f"/api/queries/orders/{order_id}/", **{"Accept-Encoding": "gzip"})["ETag"]
    assert (
        ada.post(f"/api/commands/orders/{order_id}/cancel/", {}, **{"If-Match": tag}).status_code
        == 409
    )
