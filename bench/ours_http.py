"""Ours over HTTP: orders placed and queried per second, with a token and an Idempotency-Key, and
the
lag of sockets.

usage: python -m bench.one bench.ours_http SECONDS SOCKETS (DATABASE_URL: a copy of
bench.template's)
"""

import asyncio
import json
import time
from datetime import datetime
from typing import Any

import django
from websockets.asyncio.client import connect

from tools.devserver import ports, programs

from . import basket, children
from .load import body, measure, order_id_of, request, wait_for
from .lone import token_of_a_customer

EVENTS = 100


def main(seconds: int, sockets: int) -> None:
    django.setup()
    token = token_of_a_customer()
    bearer = {"Authorization": f"Bearer {token}"}
    port, live = ports.free(), ports.free()
    # All sockets are of one user.
    many = ("env", f"LIVE_SOCKETS={sockets + 1}", f"LIVE_SOCKETS_PER_USER={sockets}")
    with (
        children.member(*programs.web(port, {}).command) as server,
        children.member(*many, *programs.live(live, {}).command),
    ):
        wait_for(port)
        wait_for(live)
        for number in range(basket.WARM_UP):
            order_id = order_id_of(
                request(port, "POST", "/api/commands/orders/", body(number), bearer), "order_id"
            )
        _deliver()
        figures = {
            "place": measure(server, port, "POST", "/api/commands/orders/", seconds, bearer),
            "query": measure(
                server, port, "GET", f"/api/queries/orders/{order_id}/", seconds, bearer
            ),
        }
        lag = asyncio.run(_lag(live, order_id, bearer, sockets))
    flat = {
        f"{name}_{what}": value for name, found in figures.items() for what, value in found.items()
    }
    print(json.dumps(flat | {"ws_lag_p99_ms": lag}))


def _deliver() -> None:
    from eventstore.delivery import worker

    worker.work(seconds=30)


async def _lag(port: int, order_id: str, bearer: dict[str, str], sockets: int) -> float:
    """The 99th percentile of the time from an event's recording until a client has it, in ms. Every
    event goes to every socket."""
    url, lags = f"ws://{ports.HOST}:{port}/ws/orders/{order_id}/?after=1", list[float]()
    async with asyncio.TaskGroup() as tasks:
        ready = [asyncio.Event() for _ in range(sockets)]
        for each in ready:
            tasks.create_task(_listen(url, bearer, each, lags))
        for each in ready:
            await each.wait()
        await asyncio.to_thread(_happen, order_id)
    return sorted(lags)[int(len(lags) * 0.99)]


async def _listen(
    url: str, bearer: dict[str, str], ready: asyncio.Event, lags: list[float]
) -> None:
    async with connect(
        url, additional_headers=bearer, compression=None, open_timeout=60, ping_interval=None
    ) as socket:
        received = 0
        while received < EVENTS:
            item: dict[str, Any] = json.loads(await socket.recv())
            if "caught_up" in item:
                ready.set()
            elif ready.is_set():
                recorded_at = datetime.fromisoformat(item["recorded_at"]).timestamp()
                lags.append((time.time() - recorded_at) * 1e3)
                received += 1


def _happen(order_id: str) -> None:
    from eventstore import log
    from orders.events import OrderCancelled

    for number in range(EVENTS):
        log.append(f"order-{order_id}", [OrderCancelled(order_id, str(number))], expected=log.ANY)
        time.sleep(0.05)
