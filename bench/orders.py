"""Ours: orders dispatched one by one, until all are confirmed and no subscription is behind.

usage: python -m bench.one bench.orders ORDERS [WORKER_PROCESSES] (DATABASE_URL: a copy of
bench.template's)
"""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import django

from config.celery import app
from eventstore import registry
from eventstore.commands import bus
from eventstore.postgres import rows
from orders.commands import Item, PlaceOrder
from shipping.commands import Address

from . import basket, children
from .workers import worker

ADDRESS = Address("Ada Lovelace", "12 St James's Square", "London", "SW1Y 4JH", "GB")

WRITTEN = "SELECT pg_backend_pid(), pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
CONFIRMED = "SELECT count(*) FROM orders_order_details WHERE status = 'CONFIRMED'"
# Whether any subscription has an event that it handles after its cursor, by the log itself.
BEHIND = """
    SELECT EXISTS (
        SELECT FROM eventstore_subscription AS subscription
        JOIN unnest(%s::text[], %s::text[]) AS handled(name, type)
            ON handled.name = subscription.name
        WHERE EXISTS (
            SELECT FROM eventstore_event AS event WHERE event.type = handled.type
                AND event.position > subscription.position
        )
    )
"""
# A run counts only if nothing is parked and the goods of every order are reserved once.
PARKED = "SELECT count(*) FROM eventstore_parked"
RESERVED = "SELECT sum(reserved) FROM inventory_stock_level"


def main(orders: int, processes: int = 1) -> None:
    django.setup()
    before = Before.now()
    with worker(app, "config", processes):
        warm_up()
        spent = Spent.now()
        start = time.perf_counter()
        _place(orders)
        placed = time.perf_counter() - start
        _wait_until_current(before.confirmed + basket.WARM_UP + orders)
        seconds = time.perf_counter() - start
        spent = spent.until(Spent.now())
    _check(before, basket.WARM_UP + orders)
    print(
        json.dumps(
            {
                "orders_per_s": orders / seconds,
                "seconds": seconds,
                "placed_per_s": orders / placed,
                "cpu_ms_per_order": spent.cpu_seconds / orders * 1e3,
                "wal_kb_per_order": spent.wal_bytes / orders / 1e3,
            }
        )
    )


class Spent(NamedTuple):
    """cpu_seconds: of this process, its worker and the server, which is on this machine.
    wal_bytes: written by the server."""

    cpu_seconds: float
    wal_bytes: int

    @classmethod
    def now(cls) -> "Spent":
        ((backend, wal),) = rows(WRITTEN)
        server = children.parent_of(backend)
        return cls(children.cpu_seconds(os.getpid()) + children.cpu_seconds(server), int(wal))

    def until(self, later: "Spent") -> "Spent":
        cpu, wal = (end - begin for begin, end in zip(self, later, strict=True))
        return Spent(cpu, int(wal))


class Before(NamedTuple):
    """The counts that earlier rounds on the same database have left."""

    confirmed: int
    reserved: int

    @classmethod
    def now(cls) -> "Before":
        return cls(_count(CONFIRMED), _count(RESERVED))


def warm_up() -> None:
    confirmed = _count(CONFIRMED)
    _place(basket.WARM_UP)
    _wait_until_current(confirmed + basket.WARM_UP)


def order(number: int) -> PlaceOrder:
    return PlaceOrder(
        order_id=str(uuid4()),
        customer_id="CUS-1",
        items=tuple(
            Item(sku, quantity)
            for sku, quantity in zip(basket.skus(number), basket.QUANTITIES, strict=True)
        ),
        address=ADDRESS,
        payment_method="tok_visa",
        placed_at=datetime.now(UTC),
    )


def _place(orders: int) -> None:
    for number in range(orders):
        bus.dispatch(order(number))


def _wait_until_current(orders: int) -> None:
    wait_until(lambda: _count(CONFIRMED) >= orders and not rows(BEHIND, _handled_types())[0][0])


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


def _handled_types() -> tuple[list[str], list[str]]:
    pairs = [
        (name, registry.name_of_class(event))
        for name, subscription in registry.subscriptions().items()
        for event in subscription.handles
    ]
    return [name for name, _ in pairs], [stored for _, stored in pairs]


def _check(before: Before, orders: int) -> None:
    if parked := _count(PARKED):
        raise SystemExit(f"bench: {parked} messages are parked; the run does not count")
    reserved = _count(RESERVED) - before.reserved
    if reserved != orders * sum(basket.QUANTITIES):
        raise SystemExit(
            f"bench: {reserved} units are reserved for {orders} orders; the run does not count"
        )


def _count(statement: str) -> int:
    return int(rows(statement)[0][0])
