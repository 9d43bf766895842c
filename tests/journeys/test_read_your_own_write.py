"""Five hundred concurrent clients: each reads its own write at once, over a real web server and
worker."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from tests.eventstore.concurrently import until
from tools.devserver import ports

from .conftest import HERE, url_of_the_test

pytestmark = [
    pytest.mark.worker,
    pytest.mark.slow,
    pytest.mark.parametrize("worker", ["orchestration"], indirect=True, scope="package"),
]

CLIENTS = 500


@pytest.fixture
def port(worker):
    port = ports.free()
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "config.wsgi:application", "--bind", f"127.0.0.1:{port}"]
        + [
            "--worker-class=gthread",
            "--workers=2",
            "--threads=8",
            "--no-control-socket",
            "--log-level=warning",
        ],
        env=os.environ
        | {
            "DATABASE_URL": url_of_the_test(),
            "EVENTSTORE_WAKE_WORKERS": "1",
            "LOG_LEVEL": "WARNING",
        },
        stdin=subprocess.DEVNULL,
    )
    until(lambda: _answers(port), seconds=30)
    yield port
    server.terminate()
    server.wait()


def test_whoever_names_the_version_is_never_told_of_an_earlier_time(shop, port, worker):
    shop.stocked(10 * CLIENTS)
    with _halting(worker):
        with_token = _clients(shop, port, lambda placed: {"X-Min-Version": str(placed["version"])})
        by_position = _clients(
            shop, port, lambda placed: {"Min-Position": str(placed["position"]), "Prefer": "wait=1"}
        )
        without = _clients(shop, port, lambda placed: {})
    stale = [sum(status != 200 for status in group) for group in (with_token, by_position, without)]
    assert [len(group) for group in (with_token, by_position, without)] == [CLIENTS] * 3
    assert stale[:2] == [0, 0]
    assert stale[2] > 0, "the read model never lagged, so this test shows nothing"


@contextmanager
def _halting(worker):
    """The worker stops and continues, as on an overloaded machine."""
    over = threading.Event()

    def halt():
        while not over.is_set():
            os.killpg(worker.program.pid, signal.SIGSTOP)
            over.wait(0.5)
            os.killpg(worker.program.pid, signal.SIGCONT)
            over.wait(0.5)

    halting = threading.Thread(target=halt)
    halting.start()
    try:
        yield
    finally:
        over.set()
        halting.join()


def _clients(shop, port, token):
    """The HTTP status of each client's first query of its own order."""
    statuses, barrier = [], threading.Barrier(CLIENTS)

    def client():
        barrier.wait()
        placed = _ask(shop, port, "POST", "/api/commands/orders/", _order(shop))
        assert placed[0] == 202, placed
        status, order = _ask(
            shop, port, "GET", f"/api/queries/orders/{placed[1]['order_id']}/", **token(placed[1])
        )
        statuses.append(
            status if status != 200 or order["version"] >= placed[1]["version"] else "earlier"
        )

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def _ask(shop, port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    content = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, body, shop.headers | content | headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def _order(shop):
    return json.dumps(
        {"items": [{"sku": shop.sku, "quantity": 1}], "address": HERE, "payment_method": "tok_visa"}
    )


def _answers(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
