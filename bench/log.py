"""Ours: appends, loads and log reads, to compare with bench.peers.eventsourcing_append.

usage: python -m bench.one bench.log EVENTS   (DATABASE_URL: a copy of bench.template's)
"""

import json
import time
from datetime import UTC, datetime

import django
from django.db import connections
from uuid_utils import uuid7

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.commands import repository
from eventstore.money import Money
from orders.events import OrderConfirmed, OrderLine, OrderPlaced
from orders.order.aggregate import ORDER

from . import basket, writers
from .orders import ADDRESS

WRITERS = 8
LONG = 1000


def main(events: int) -> None:
    django.setup()
    save(min(200, events))
    measured = {"append_1_writer": rate(1, events), "append_8_writers": rate(WRITERS, events)}
    print(json.dumps(measured | {"load_1001_events_ms": _load(), "log_read_events": _read()}))


def save(count: int) -> None:
    for _ in range(count):
        placed = _placed()
        log.append(stream_name(ORDER.category, placed.order_id), [placed], expected=log.NO_STREAM)


def _placed() -> OrderPlaced:
    lines = tuple(
        OrderLine(sku, f"Product {sku}", quantity, basket.PRICES[sku])
        for sku, quantity in zip(basket.skus(0), basket.QUANTITIES, strict=True)
    )
    return OrderPlaced(
        order_id=str(uuid7()),
        customer_id="CUS-1",
        lines=lines,
        charges=(),
        total=Money(basket.TOTAL, "USD", 2),
        address=ADDRESS,
        payment_method="tok_visa",
        placed_at=datetime.now(UTC),
    )


def rate(number: int, count: int) -> float:
    return writers.rate(save, number, count, leave=connections.close_all)


def _load() -> float:
    """Milliseconds, the median of nine."""
    placed = _placed()
    stream = stream_name(ORDER.category, placed.order_id)
    confirmed = OrderConfirmed(placed.order_id)
    log.append(stream, [placed, *[confirmed] * LONG], expected=log.NO_STREAM)
    loads = []
    for _ in range(9):
        repository.forget()
        start = time.perf_counter()
        repository.load([stream])
        loads.append(time.perf_counter() - start)
    return sorted(loads)[4] * 1e3


def _read() -> float:
    """Events read and decoded per second, the median of nine."""
    return sorted(_read_once() for _ in range(9))[4]


def _read_once() -> float:
    start, read = time.perf_counter(), 0
    for _ in log.read_log():
        read += 1
    return read / (time.perf_counter() - start)
