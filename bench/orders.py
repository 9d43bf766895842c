"""Ours: orders dispatched one by one until each is confirmed and no subscription has anything left
of what it hears.

usage: python -m bench.one bench.orders ORDERS [WORKER_PROCESSES] (DATABASE_URL: a copy of
bench.template's)
"""

import json
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

from . import basket
from .workers import worker

ADDRESS = Address("Ada Lovelace", "12 St James's Square", "London", "SW1Y 4JH", "GB")

CONFIRMED = "SELECT count(*) FROM orders_order_details WHERE status = 'CONFIRMED'"
# Asked of the log itself: is there, for any subscription, an event it hears that its cursor has not
# passed?
BEHIND = """
    SELECT EXISTS (
        SELECT FROM eventstore_subscription AS subscription
        JOIN unnest(%s::text[], %s::text[]) AS hears(name, type) ON hears.name = subscription.name
        WHERE EXISTS (
            SELECT FROM eventstore_event AS event WHERE event.type = hears.type
                AND event.position > subscription.position
        )
    )
"""
# What must be true of a run that is to count: nothing failed, and the goods of every order are
# reserved once.
PARKED = "SELECT count(*) FROM eventstore_parked"
RESERVED = "SELECT sum(reserved) FROM inventory_stock_level"


def main(orders: int, processes: int = 1) -> None:
    django.setup()
    before = Standing.now()
    with worker(app, "config", processes):
        warm_up()
        start = time.perf_counter()
        _place(orders)
        placed = time.perf_counter() - start
        _wait_until_current(before.confirmed + basket.WARM_UP + orders)
        seconds = time.perf_counter() - start
    _check(before, basket.WARM_UP + orders)
    print(
        json.dumps(
            {"orders_per_s": orders / seconds, "seconds": seconds, "placed_per_s": orders / placed}
        )
    )


class Standing(NamedTuple):
    """What earlier rounds on the same database have left."""

    confirmed: int
    reserved: int

    @classmethod
    def now(cls) -> "Standing":
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
    wait_until(lambda: _count(CONFIRMED) >= orders and not rows(BEHIND, _hears())[0][0])


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


def _hears() -> tuple[list[str], list[str]]:
    pairs = [
        (name, registry.name_of_class(event))
        for name, subscription in registry.subscriptions().items()
        for event in subscription.handles
    ]
    return [name for name, _ in pairs], [stored for _, stored in pairs]


def _check(before: Standing, orders: int) -> None:
    if parked := _count(PARKED):
        raise SystemExit(f"bench: {parked} messages are parked; this run says nothing")
    reserved = _count(RESERVED) - before.reserved
    if reserved != orders * sum(basket.QUANTITIES):
        raise SystemExit(
            f"bench: {reserved} units are reserved for {orders} orders; this run says nothing"
        )


def _count(statement: str) -> int:
    return int(rows(statement)[0][0])
