"""Send requests over persistent connections, as many as a web process has threads."""

import json
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from itertools import count
from uuid import uuid4

from tools.devserver import ports

from . import basket, children

CLIENTS = 8
WEB = (
    "--worker-class=gthread",
    "--workers=2",
    "--threads=8",
    "--no-control-socket",
    "--log-level=warning",
)
PATIENCE_SECONDS = 30.0


def measure(
    server: int,
    port: int,
    method: str,
    path: str,
    seconds: float,
    headers: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """per_s: responses per second of all clients. p99_ms: of one request. cpu_us: CPU time of the
    server's processes per request, which other work on the machine does not increase. Each POST has
    its own Idempotency-Key.
    """
    taken: list[float] = []
    end = time.perf_counter() + seconds
    clients = [
        threading.Thread(target=_client, args=(port, method, path, dict(headers or {}), end, taken))
        for _ in range(CLIENTS)
    ]
    start, used = time.perf_counter(), children.cpu_seconds(server)
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    elapsed, used = time.perf_counter() - start, children.cpu_seconds(server) - used
    return {
        "per_s": len(taken) / elapsed,
        "p99_ms": sorted(taken)[int(len(taken) * 0.99)] * 1e3,
        "cpu_us": used / len(taken) * 1e6,
    }


def _client(
    port: int, method: str, path: str, headers: dict[str, str], end: float, taken: list[float]
) -> None:
    connection = HTTPConnection(ports.HOST, port, timeout=PATIENCE_SECONDS)
    for number in count():
        start = time.perf_counter()
        if start > end:
            break
        if method == "POST":
            keyed = headers | {"Idempotency-Key": uuid4().hex}
            _request(connection, method, path, body(number), keyed)
        else:
            _request(connection, method, path, None, headers)
        taken.append(time.perf_counter() - start)
    connection.close()


def request(
    port: int,
    method: str,
    path: str,
    sent: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The body of the response, over a connection of its own."""
    connection = HTTPConnection(ports.HOST, port, timeout=PATIENCE_SECONDS)
    return _request(connection, method, path, sent, headers or {})


def order_id_of(answer: bytes, name: str) -> str:
    return str(json.loads(answer)[name])


def body(number: int) -> str:
    items = [
        {"sku": sku, "quantity": quantity}
        for sku, quantity in zip(basket.skus(number), basket.QUANTITIES, strict=True)
    ]
    address = {
        "name": "Ada Lovelace",
        "street": "Square 1",
        "city": "London",
        "postcode": "SW1Y 4JH",
        "country": "GB",
    }
    return json.dumps({"items": items, "address": address, "payment_method": "tok_visa"})


def wait_for(port: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return HTTPConnection(ports.HOST, port).connect()
        except OSError:
            if time.monotonic() > until:
                raise SystemExit("bench: the server does not answer") from None
            time.sleep(0.05)


def _request(
    connection: HTTPConnection, method: str, path: str, sent: str | None, headers: Mapping[str, str]
) -> bytes:
    connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    answer = response.read()
    if response.status >= 300:
        raise SystemExit(f"bench: {method} {path} answered {response.status}: {answer[:300]!r}")
    return answer
