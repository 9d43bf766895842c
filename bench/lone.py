"""Ours: the time of one order on an idle platform, over HTTP, from the POST to the query that says
CONFIRMED.

usage: python -m bench.one bench.lone ORDERS [WORKER_PROCESSES] (DATABASE_URL: a copy of
bench.template's)
"""

import json
import subprocess
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import django

from config.celery import app
from tools.devserver import ports, programs

from . import basket, children
from .workers import worker

CUSTOMER = "bench"
POLL_SECONDS = 0.002
# Longer than all work after an order, so that each order finds the platform idle.
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 30.0


class Shop:
    """A customer's one connection to the platform."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = HTTPConnection(ports.HOST, port, timeout=PATIENCE_SECONDS)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def place(self, body: str) -> str:
        status, answer = self._send("POST", "/api/commands/orders/", body)
        if status != 202:
            raise SystemExit(f"bench: placing the order answered {status}: {answer}")
        return str(answer["order_id"])

    def is_confirmed(self, order_id: str) -> bool:
        status, answer = self._send("GET", f"/api/queries/orders/{order_id}/")
        return status == 200 and answer["status"] == "CONFIRMED"

    def _send(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
        self.connection.request(method, path, body, self.headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


def main(orders: int, processes: int = 1) -> None:
    django.setup()
    with worker(app, "config", processes), _shop() as shop:
        for number in range(basket.WARM_UP):
            _seconds(shop, number)
        taken = sorted(_after_a_pause(shop, number) * 1e3 for number in range(orders))
    print(
        json.dumps(
            {"lone_p50_ms": taken[len(taken) // 2], "lone_p99_ms": taken[int(len(taken) * 0.99)]}
        )
    )


def _after_a_pause(shop: Shop, number: int) -> float:
    time.sleep(PAUSE_SECONDS)
    return _seconds(shop, number)


def _seconds(shop: Shop, number: int) -> float:
    body = _body(number)
    start = time.perf_counter()
    order_id = shop.place(body)
    while not shop.is_confirmed(order_id):
        if time.perf_counter() - start > PATIENCE_SECONDS:
            raise SystemExit(f"bench: {order_id} was not confirmed within {PATIENCE_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - start


@contextmanager
def _shop():
    token, port = token_of_a_customer(), ports.free()
    # It logs every 404, and the queries get one until the read model has the order.
    with children.member(*programs.web(port, {}).command, errors=subprocess.DEVNULL):
        _wait_for(port)
        yield Shop(port, token)


def token_of_a_customer() -> str:
    # Models can be imported only after django.setup().
    from django.contrib.auth import get_user_model
    from knox.models import AuthToken

    _, token = AuthToken.objects.create(get_user_model().objects.create_user(CUSTOMER))
    return token


def _wait_for(port: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return HTTPConnection(ports.HOST, port).connect()
        except OSError:
            if time.monotonic() > until:
                raise SystemExit("bench: the web server does not answer") from None
            time.sleep(0.05)


def _body(number: int) -> str:
    return json.dumps(
        {
            "items": [
                {"sku": sku, "quantity": quantity}
                for sku, quantity in zip(basket.skus(number), basket.QUANTITIES, strict=True)
            ],
            "address": {
                "name": "Ada Lovelace",
                "street": "12 St James's Square",
                "city": "London",
                "postcode": "SW1Y 4JH",
                "country": "GB",
            },
            "payment_method": "tok_visa",
        }
    )
