"""One greedy client and one modest one: what the greedy one makes large or slow costs the modest
one little.

The modest client's times with a greedy one are compared with its times alone, alternating within
one run. `make greedy` takes many samples, on a quiet machine. Here there are few, on a busy one,
and only another order of magnitude fails: a client that can block others does so for seconds.
"""

import json
import os
import subprocess
from http.client import HTTPConnection

import pytest
from django.contrib.auth.models import User
from knox.models import AuthToken

from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import ListProduct
from tests.api.conftest import ADDRESS
from tests.journeys.conftest import url_of_the_test
from tests.security.conftest import Web, wait_until_live
from tools.devserver import ports, programs

from .clients import Modest, again_and_again, connected

LONG = os.environ.get("GREEDY") == "long"
ROUNDS, EACH = (5, 200) if LONG else (3, 40)
# Of 1,000 requests, the ten slowest depend on the server; of 120, on the machine.
PART, RATIO = (0.99, 2.0) if LONG else (0.9, 10.0)

SETTINGS = {
    "LOG_LEVEL": "ERROR",
    "SECRET_KEY": "only-for-this-test",
    "WEB_DRAIN_SECONDS": "0",
    "THROTTLE_LOGIN": "",
}
ORDERS = "/api/queries/orders/"
LARGE_ORDERS, LINES = (30, 2000) if LONG else (10, 1000)


@pytest.fixture
def shop(transactional_db, tmp_path):
    """A shop with large orders of a greedy customer, and its web process."""
    bus.dispatch(ListProduct("CUP", "A cup", Money(1999, "EUR")))
    bus.dispatch(ReceiveStock("CUP", 10))
    web = Web(ports.free(), tmp_path / "log")
    tokens = {
        name: AuthToken.objects.create(User.objects.create_user(name))[1]
        for name in ("greedy", "modest")
    }
    with web.log.open("w") as log:
        environment = os.environ | SETTINGS | {"DATABASE_URL": url_of_the_test()}
        server = subprocess.Popen(programs.web(web.port, {}).command, env=environment, stderr=log)
    try:
        wait_until_live(web)
        yield web.port, tokens
    finally:
        server.terminate()
        server.wait(30)


def bearer(token, **headers):
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} | headers


def order(lines):
    items = [{"sku": "CUP", "quantity": 1}] * lines
    return json.dumps({"items": items, "address": ADDRESS, "payment_method": "tok_visa"})


def place(port, token, lines):
    connection = HTTPConnection(ports.HOST, port, timeout=60)
    connection.request("POST", "/api/commands/orders/", order(lines), bearer(token))
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 202, body
    return json.loads(body)["order_id"]


def prefer(port, token):
    trap = "a" * 333 + " " * 666 + '"'
    request = ("GET", "/api/queries/products/CUP/", None, bearer(token, Prefer=trap))
    return again_and_again(port, 1, lambda _: request, 0.1)


def waiting(port, token):
    order_id = place(port, token, 1)
    late = bearer(token, **{"X-Min-Version": "999", "Prefer": "wait=5"})
    return again_and_again(port, 40, lambda _: ("GET", f"{ORDERS}{order_id}/", None, late), 1.0)


def guessing(port, token):
    def guess(number):
        body = json.dumps({"username": f"nobody-{number}", "password": "wrong"})
        return "POST", "/api/auth/login/", body, {"Content-Type": "application/json"}

    return again_and_again(port, 24, guess, 1.0)


def large_lists(port, token):
    for _ in range(LARGE_ORDERS):
        place(port, token, LINES)
    drain()
    request = ("GET", f"{ORDERS}?limit=100", None, bearer(token))
    return again_and_again(port, 1, lambda _: request, 0.1)


def large_bodies(port, token):
    request = ("POST", "/api/commands/orders/", order(9000).replace("CUP", "NONE"), bearer(token))
    return again_and_again(port, 1, lambda _: request, 0.5)


def idle(port, token):
    return connected(port, 500, b"")


def halves(port, token):
    return connected(
        port,
        64,
        b"POST /api/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{",
    )


GREEDY = {
    each.__name__: each
    for each in (prefer, waiting, guessing, large_lists, large_bodies, idle, halves)
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", GREEDY)
def test_the_modest_one_is_served_as_ever(shop, how, capsys):
    port, tokens = shop
    modest = Modest(port, "/api/queries/products/CUP/", tokens["modest"])
    drain()
    # Warm-up: each thread of the server opens its database connection.
    with GREEDY[how](port, tokens["greedy"]):
        for _ in range(EACH):
            modest.ask()
    alone, beside = [], []
    for _ in range(ROUNDS):
        alone += [modest.ask() for _ in range(EACH)]
        with GREEDY[how](port, tokens["greedy"]):
            for _ in range(5):
                modest.ask()
            beside += [modest.ask() for _ in range(EACH)]
    ratio = at(PART, beside) / at(PART, alone)
    with capsys.disabled():
        ms = [f"{at(PART, taken) * 1e3:.1f} ms" for taken in (alone, beside)]
        print(f"\n{how:13} p{PART * 100:.0f} alone {ms[0]}, beside {ms[1]}: {ratio:.2f}")
    assert ratio <= RATIO


def at(part, taken):
    return sorted(taken)[int(len(taken) * part)]
