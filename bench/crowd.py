"""Ours: many concurrent buyers for fewer units, of one product or of many; the rate at which their
orders end.

usage: python -m bench.one bench.crowd BUYERS PRODUCTS UNITS_OF_EACH [WORKER_PROCESSES]
(DATABASE_URL: a copy of bench.template's)
"""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import django
from django.db import connection

from config.celery import app
from eventstore.commands import bus
from eventstore.log import WrongExpectedVersion
from eventstore.money import Money
from eventstore.postgres import rows
from inventory.commands import ReceiveStock
from orders.commands import Item, ListProduct, PlaceOrder

from . import basket, orders
from .orders import ADDRESS
from .workers import worker

# Buyers that place an order at the same moment.
AT_ONCE = 16

ENDED = "SELECT count(*) FROM orders_order_details WHERE status IN ('CONFIRMED', 'CANCELLED')"
LEFT = "SELECT coalesce(sum(available), 0) FROM inventory_stock_level WHERE sku LIKE 'CROWD-%%'"


def main(buyers: int, products: int, units: int, processes: int = 1) -> None:
    django.setup()
    skus = [f"CROWD-{number}" for number in range(products)]
    _offer(skus, units)
    with worker(app, "config", processes):
        orders.warm_up()
        start = time.perf_counter()
        conflicts = _buy(skus, buyers)
        orders.wait_until(lambda: _count(ENDED) >= basket.WARM_UP + buyers)
        seconds = time.perf_counter() - start
    sold = min(buyers, products * units)
    _check(sold, conflicts)
    print(json.dumps({"orders_per_s": buyers / seconds, "confirmed": sold, "conflicts": conflicts}))


def _offer(skus: Sequence[str], units: int) -> None:
    bus.dispatch_all(ListProduct(sku, f"Product {sku}", Money(1999, "USD", 2)) for sku in skus)
    bus.dispatch_all(ReceiveStock(sku, units, "bench") for sku in skus)


def _buy(skus: Sequence[str], buyers: int) -> int:
    """The number of buyers that got a version conflict, which the server should have resolved."""
    with ThreadPoolExecutor(AT_ONCE, initializer=connection.ensure_connection) as crowd:
        return sum(crowd.map(lambda number: _has_conflict(skus[number % len(skus)]), range(buyers)))


def _has_conflict(sku: str) -> bool:
    items, now = (Item(sku, 1),), datetime.now(UTC)
    try:
        bus.dispatch(PlaceOrder(str(uuid4()), "CUS-1", items, ADDRESS, "tok_visa", now))
    except WrongExpectedVersion:
        return True
    return False


def _check(sold: int, conflicts: int) -> None:
    confirmed, left = _count(orders.CONFIRMED) - basket.WARM_UP, _count(LEFT)
    if (confirmed, left, conflicts) != (sold, 0, 0) or _count(orders.PARKED):
        raise SystemExit(
            f"bench: {confirmed} of {sold} confirmed, {left} units left, {conflicts} conflicts"
        )


def _count(statement: str) -> int:
    return int(rows(statement)[0][0])
