"""Every event once and in order: from any position, across disconnects and crashes, however slow
the client is."""

import json
import random
import signal
import socket as sockets
import threading
from contextlib import ExitStack

import psutil
import pytest
from django.db import connection, transaction
from websockets.exceptions import ConnectionClosed

from access.accounts import customer_id_of
from config import wiring
from eventstore import log
from eventstore.commands import bus
from eventstore.delivery import step
from eventstore.messages import Event
from eventstore.money import Money
from eventstore.outbox import cursors
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.api import public_events as timeline
from orders.commands import Item, ListProduct, PlaceOrder
from orders.events import Portion, ReturnPromised, ReturnRequested
from shipping.commands import Address
from tests.eventstore.concurrently import in_thread, until
from tools.devserver import ports

from .conftest import happens, in_log, placed, received

MINE = "/ws/customers/me/"


def test_an_orders_whole_life_is_told_and_nothing_that_is_not_the_customers_business(ada):
    bus.dispatch(ListProduct("CUP", "A cup", Money(1999, "EUR")))
    bus.dispatch(ReceiveStock("CUP", 10))
    home = Address("Ada", "Square 1", "London", "SW1Y", "GB")
    placing = PlaceOrder(
        "o-1", customer_id_of(ada.user), (Item("CUP", 2),), home, "tok_visa", ada.user.date_joined
    )
    bus.dispatch(placing)
    with ada.open("/ws/orders/o-1/") as socket:
        (first,) = received(socket, 1)
        drain()
        event = [first, *received(socket, 6)]
    assert [each["type"] for each in event] == [
        "orders.order_placed",
        "payments.payment_requested",
        "payments.payment_completed",
        "inventory.inventory_reserved",
        "shipping.shipment_requested",
        "shipping.shipment_created",
        "orders.order_confirmed",
    ]
    assert first["data"]["total"] == {"amount": 3998, "currency": "EUR", "exponent": 2}
    assert "tok_visa" not in json.dumps(event)


def test_it_begins_behind_the_version_or_the_position_that_the_client_has(ada):
    order_id = placed(ada)
    first = happens(order_id, "one")
    second = happens(order_id, "two", "three")
    with ada.open(f"/ws/orders/{order_id}/?after=2") as socket:
        assert [event["version"] for event in received(socket, 2)] == [3, 4]
    with ada.open(f"/ws/orders/{order_id}/?position={first}") as socket:
        assert [event["position"] for event in received(socket, 2)] == in_log([order_id])[2:]
    with ada.open(f"/ws/orders/{order_id}/?after=4") as socket:
        assert received(socket, 1, caught_up=True)[0]["caught_up"] >= second
        last = happens(order_id, "four")
        assert received(socket, 1)[0]["position"] == last


def test_a_customer_is_told_of_all_orders_known_to_the_read_model_or_not(ada, person):
    grace = person("grace")
    old = placed(ada)
    cursors.ensure_cursors()
    step.step("orders.details")
    young = placed(ada)
    placed(grace)
    with ada.open(MINE) as socket:
        assert [event["order_id"] for event in received(socket, 2)] == [old, young]
        newest = placed(ada)
        happens(old, "late")
        assert [event["order_id"] for event in received(socket, 2)] == [newest, old]


def test_a_return_is_told_to_who_follows_its_order(ada):
    order_id = placed(ada)
    promise = ReturnPromised(order_id, "r-1", (Portion(1, 1),), ())
    request = ReturnRequested(
        "r-1",
        order_id,
        customer_id_of(ada.user),
        (),
        (),
        Money(1999, "EUR"),
        "broken",
        ada.user.date_joined,
    )
    streams = {f"order-{order_id}": (1, [promise]), "return-r-1": (log.NO_STREAM, [request])}
    for append in (lambda: log.append_all(streams), lambda: None):
        with ada.open(f"/ws/orders/{order_id}/?after=1") as socket:
            append()
            types = [event["type"] for event in received(socket, 2)]
            assert types == ["orders.return_promised", "orders.return_requested"]


def test_events_come_in_the_order_of_the_log_also_when_they_commit_in_another(ada):
    order_id = placed(ada)
    other = placed(ada)
    begun, go_on = threading.Event(), threading.Event()

    def slowly():
        with transaction.atomic():
            happens(order_id, "first to get a position")
            begun.set()
            assert go_on.wait(30)

    with ada.open(MINE) as socket:
        received(socket, 3, caught_up=True)
        slow = in_thread(slowly)
        assert begun.wait(30)
        happens(other, "first to commit")
        go_on.set()
        slow.result(30)
        assert [event["position"] for event in received(socket, 2)] == in_log([order_id, other])[2:]


def test_who_drops_and_comes_back_again_and_again_has_every_event_once(ada):
    orders = [placed(ada) for _ in range(5)]
    dice, seen = random.Random(5), [0]
    writer = in_thread(lambda: [happens(dice.choice(orders), str(number)) for number in range(300)])
    while len(seen) <= 305:
        with ada.open(f"{MINE}?after={seen[-1]}") as socket:
            wanted = min(dice.randrange(1, 30), 306 - len(seen))
            seen += [event["position"] for event in received(socket, wanted)]
    writer.result(30)
    assert seen[1:] == in_log(orders)


def test_nothing_is_lost_or_told_twice_when_the_server_is_killed(another_server, ada):
    server = ada.live = another_server
    order_id, seen = placed(ada), []
    for round_ in range(3):
        happens(order_id, *map(str, range(20)))
        path = f"/ws/orders/{order_id}/?position={seen[-1] if seen else 0}"
        with ada.open(path) as socket:
            seen += [event["position"] for event in received(socket, 10)]
            server.stop(signal.SIGKILL)
            # Messages that were sent before it died can still be read.
            seen += _all_there_is(socket)
        happens(order_id, f"while nobody listens {round_}")
        server.start()
    with ada.open(f"/ws/orders/{order_id}/?position={seen[-1]}") as socket:
        seen += [
            event["position"] for event in received(socket, len(in_log([order_id])) - len(seen))
        ]
    assert seen == in_log([order_id])


def test_the_reader_goes_on_when_its_connections_were_cut(live, ada):
    order_id = placed(ada)
    with ada.open(f"/ws/orders/{order_id}/") as socket:
        received(socket, 2, caught_up=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE client_port ="
                " ANY(%s)",
                [
                    [
                        each.laddr.port
                        for each in psutil.Process(live.process.pid).net_connections("tcp")
                    ]
                ],
            )
            assert cursor.fetchone()[0] >= 2
        last = happens(order_id, "afterwards")
        assert received(socket, 1)[0]["position"] == last


def test_who_takes_nothing_is_dropped_memory_stays_flat_and_nobody_else_waits(live, ada):
    order_id = placed(ada)
    process = psutil.Process(live.process.pid)
    with sockets.socket() as deaf, ada.open(f"/ws/orders/{order_id}/") as quick:
        deaf.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        deaf.connect((ports.HOST, live.port))
        deaf.sendall(_handshake(f"/ws/orders/{order_id}/", ada.token))
        assert deaf.recv(12) == b"HTTP/1.1 101"
        received(quick, 2, caught_up=True)
        before = process.memory_info().rss
        for _ in range(100):
            happens(order_id, *["x" * 20_000] * 20)
            received(quick, 20)
        assert process.memory_info().rss - before < 48 << 20
        until(
            lambda: len(_connections(process, live.port)) == 1, seconds=30
        )  # the deaf one is gone


def test_who_was_too_slow_goes_on_from_the_last_event_that_it_has(ada):
    order_id = placed(ada)
    with ada.open(f"/ws/orders/{order_id}/", max_queue=1) as slow:
        seen = [event["position"] for event in received(slow, 1)]
        for _ in range(100):
            happens(order_id, *["x" * 20_000] * 20)
        seen += _all_there_is(slow)
    assert len(seen) < 2001
    with ada.open(f"/ws/orders/{order_id}/?position={seen[-1]}") as again:
        seen += [each["position"] for each in received(again, 2001 - len(seen))]
    assert seen == in_log([order_id])


def test_fifty_sockets_each_hear_everything_in_order(ada):
    order_id = placed(ada)
    with ExitStack() as stack:
        open_ = [
            stack.enter_context(ada.open(f"/ws/orders/{order_id}/?after=1")) for _ in range(50)
        ]
        for number in range(20):
            happens(order_id, str(number))
        expected = in_log([order_id])[1:]
        assert all(
            [event["position"] for event in received(socket, 20)] == expected for socket in open_
        )


WITHHELD = {
    "inventory.stock_reserved": "the stock's own side of the reservation",
    "inventory.stock_released": "the stock's own side of the release",
    "inventory.inventory_returned": "the reservation's own side of the goods that came back",
    "orders.loyalty_points_earned": "another service's answer, in a stream of its own",
    "orders.loyalty_points_taken_back": "as its earning",
    "shipping.shipment_disowned": "between the carrier and us, until a person has seen to it",
}


def test_of_every_event_that_names_an_order_it_is_decided_whether_it_is_told():
    about = {
        name
        for table in wiring.EVENTS
        for name, event in table.items()
        if issubclass(event, Event) and "order_id" in event.__struct_fields__
    }
    assert about - set(timeline.types()) == set(WITHHELD), (
        "list it in PUBLIC_FIELDS of orders/api/public_events.py, or here"
    )


@pytest.mark.parametrize("event", timeline.PUBLIC_FIELDS)
def test_what_is_told_of_an_event_are_fields_that_it_has(event):
    assert set(timeline.PUBLIC_FIELDS[event]) <= set(event.__struct_fields__)


def _all_there_is(socket):
    found = []
    try:
        while True:
            event = json.loads(socket.recv(timeout=30))
            found += [event["position"]] if "position" in event else []
    except ConnectionClosed:
        return found


def _handshake(path, token):
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {token}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _connections(process, port):
    return [
        each
        for each in process.net_connections("tcp")
        if each.laddr.port == port and each.status == "ESTABLISHED"
    ]
