"""Admission: who may follow what (as for queries), and from which origins."""

import json
import time
from http.client import HTTPConnection

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from websockets.sync.client import connect

from access.authorization import SUPPORT
from tests.api.conftest import MEMBERS
from tools.devserver import ports

from .conftest import end_of, happens, placed, received

MINE = "/ws/customers/me/"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer \xff\xfe", f"Bearer {64 * 'a'}"],
)
def test_without_a_good_token_nobody_is_let_in(live, ada, authorization):
    with connect(live.url(MINE), additional_headers={"Authorization": authorization}) as socket:
        assert end_of(socket) == 4401


def test_a_browser_offers_the_token_as_a_subprotocol_and_is_not_told_it_back(live, ada):
    order_id = placed(ada)
    offered = ["orders.v1", f"bearer.{ada.token}"]
    with connect(
        live.url(f"/ws/orders/{order_id}/"),
        subprotocols=offered,
        origin=f"http://127.0.0.1:{live.port}",
    ) as ws:
        assert ws.subprotocol == "orders.v1"
        assert received(ws, 1)[0]["order_id"] == order_id


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://shop.example.evil.example", "null", "file://"]
)
def test_pages_of_foreign_origins_are_refused_even_with_a_token(ada, origin):
    assert ada.closed_with(MINE, origin=origin) == 4403


@pytest.mark.parametrize(
    "origin", ["https://shop.example", "http://127.0.0.1:3000", "https://pages.example"]
)
def test_our_own_pages_and_those_that_are_trusted_are_served(ada, origin):
    with ada.open(MINE, origin=origin) as socket:
        assert "caught_up" in received(socket, 1, caught_up=True)[0]


def test_anothers_order_is_as_unknown_as_one_that_is_not_there(ada, person):
    grace = person("grace")
    order_id = placed(ada)
    assert grace.closed_with(f"/ws/orders/{order_id}/") == 4404
    assert grace.closed_with("/ws/orders/00000000-0000-7000-8000-000000000000/") == 4404


def test_support_may_follow_everybodys_order_but_has_no_orders(ada, person):
    helen = person("helen")
    helen.user.groups.add(Group.objects.get_or_create(name=SUPPORT)[0])
    order_id = placed(ada)
    with helen.open(f"/ws/orders/{order_id}/") as socket:
        assert received(socket, 1)[0]["order_id"] == order_id
    with helen.open(MINE) as socket:
        happens(order_id, "not hers")
        own = placed(helen)
        assert [body["order_id"] for body in received(socket, 1)] == [own]


@pytest.mark.parametrize(
    "path",
    ["/", "/ws/", "/ws/orders/", "/ws/orders/../", "/ws/customers/ada/", "/api/queries/orders/"],
)
def test_other_addresses_lead_nowhere(ada, path):
    assert ada.closed_with(path) == 4404


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=x",
        "after=",
        "after=1e3",
        "after=١",
        "after=1&after=2",
        "position=-1",
        "past=1",
    ],
)
def test_a_start_that_makes_no_sense_is_refused(ada, query):
    order_id = placed(ada)
    assert ada.closed_with(f"/ws/orders/{order_id}/?{query}") == 4400


@pytest.mark.parametrize("name", ["after", "position"])
def test_both_names_of_a_position_begin_after_it(ada, name):
    first = placed(ada)
    with ada.open(MINE) as socket:
        position = received(socket, 1)[0]["position"]
    second = placed(ada)
    with ada.open(f"{MINE}?{name}={position}") as socket:
        events = received(socket, 1)
    assert first != second
    assert events[0]["position"] > position


def test_a_token_that_expires_ends_what_it_had_opened(ada):
    with ada.open(MINE) as socket:
        received(socket, 1, caught_up=True)
        ada.held.expiry = timezone.now()
        ada.held.save()
        assert end_of(socket) == 4401


def test_logging_out_does_too_and_so_does_closing_the_account(ada, person):
    grace = person("grace")
    with ada.open(MINE) as first, grace.open(MINE) as second:
        received(first, 1, caught_up=True)
        received(second, 1, caught_up=True)
        ada.held.delete()
        grace.user.is_active = False
        grace.user.save()
        assert (end_of(first), end_of(second)) == (4401, 4401)


def test_a_changed_password_does_too(ada):
    with ada.open(MINE) as socket:
        received(socket, 1, caught_up=True)
        ada.user.set_password("another secret")
        ada.user.save()
        assert end_of(socket) == 4401


def test_nothing_is_expected_from_a_client(ada):
    with ada.open(MINE) as socket:
        socket.send("hello")
        assert end_of(socket) == 1003


def test_a_message_without_end_is_not_read(ada):
    with ada.open(MINE) as socket:
        socket.send("x" * 100_000)
        assert end_of(socket) in (1009, 1003)


UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 426),
        ("POST", {}, 405),
        ("GET", UPGRADE, 400),
        ("GET", UPGRADE | {"Sec-WebSocket-Key": "<canary>"}, 400),
    ],
)
def test_who_asks_for_no_socket_is_told_so_as_by_the_api(live, method, headers, status):
    client = HTTPConnection(ports.HOST, live.port, timeout=30)
    client.request(method, MINE, headers=headers | {"X-Request-ID": "mine-1"})
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (status, "application/problem+json")
    body = answer.read()
    problem = json.loads(body)
    assert set(problem) == MEMBERS
    assert (problem["status"], problem["code"]) == (status, "NoSocket")
    assert problem["correlation_id"] == answer.getheader("X-Correlation-ID")
    assert (problem["request_id"], answer.getheader("X-Request-ID")) == ("mine-1", "mine-1")
    assert b"canary" not in body


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"{MINE}?{'canary' * 2000}", {}, 414),
        (MINE, {"X": "canary" * 2000}, 431),
        (MINE, {f"X-{n}": "canary" for n in range(130)}, 431),
    ],
)
def test_what_is_too_large_to_be_read_is_refused_by_the_library_beneath_and_not_repeated(
    live, path, headers, status
):
    client = HTTPConnection(ports.HOST, live.port, timeout=30)
    client.request("GET", path, headers=headers)
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (
        status,
        "text/plain; charset=utf-8",
    )
    assert b"canary" not in answer.read()


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_name_of_a_scheme_has_no_case(live, ada, scheme):
    authorization = {"Authorization": f"{scheme} {ada.token}"}
    with connect(live.url(MINE), additional_headers=authorization) as socket:
        assert "caught_up" in received(socket, 1, caught_up=True)[0]


def test_subprotocols_may_be_offered_in_several_lines(live, ada):
    token = {"Sec-WebSocket-Protocol": f"bearer.{ada.token}"}
    with connect(live.url(MINE), additional_headers=token, subprotocols=["orders.v1"]) as socket:
        assert "caught_up" in received(socket, 1, caught_up=True)[0]


def test_who_is_no_longer_of_the_staff_follows_no_longer(ada, person):
    support = person("support")
    support.user.groups.add(Group.objects.get_or_create(name=SUPPORT)[0])
    order_id = placed(ada)
    path = f"/ws/orders/{order_id}/"
    with support.open(path) as socket, ada.open(path) as own:
        received(socket, 1, caught_up=True)
        received(own, 1, caught_up=True)
        time.sleep(0.3)  # two looks at the tokens
        support.user.groups.clear()
        assert end_of(socket) == 4401
        own.ping().wait(5)
    assert support.closed_with(path) == 4404
