"""Peer: appends, loads and log reads of the Python library `eventsourcing` (9.5) on PostgreSQL.

floor_insert: the least that an append can cost: one prepared single-row INSERT of the same payload
per commit over psycopg.

usage: python -m bench.one bench.peers.eventsourcing_append EVENTS   (DATABASE_URL: empty)
"""

import json
import os
import time
import uuid

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench import basket, writers
from bench.peers import libpq

WRITERS = 8
LONG = 1000

FLOOR_TABLE = """
    CREATE TABLE floor_event (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        stream text NOT NULL,
        version int NOT NULL,
        type text NOT NULL,
        data jsonb NOT NULL,
        metadata jsonb NOT NULL,
        id uuid NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (stream, version)
    )
"""
FLOOR_INSERT = """
    INSERT INTO floor_event (stream, version, type, data, metadata, id)
    VALUES (%s, 1, 'OrderPlaced', %s, '{}', %s)
"""


class Order(Aggregate):
    @event("Placed")
    def __init__(self, customer_id, items, total):
        self.customer_id, self.items, self.total = customer_id, items, total

    @event("Confirmed")
    def confirm(self, payment_id):
        self.payment_id = payment_id


def main(events: int) -> None:
    app = Application(env=libpq.told())

    def save(count):
        for _ in range(count):
            app.save(_new())

    save(min(200, events))
    measured = {"append_1_writer": writers.rate(save, 1, events)}
    measured |= {"append_8_writers": writers.rate(save, WRITERS, events)}
    measured |= {
        "load_1001_events_ms": _load(app),
        "log_read_events": _read(app),
        "floor_insert": _floor(events),
    }
    print(json.dumps(measured))


def _new():
    return Order("CUS-1", basket.items(0), basket.TOTAL)


def _load(app):
    """The median of nine times, in milliseconds."""
    order = _new()
    for _ in range(LONG):
        order.confirm("p")
    app.save(order)
    loads = []
    for _ in range(9):
        start = time.perf_counter()
        app.repository.get(order.id)
        loads.append(time.perf_counter() - start)
    return sorted(loads)[4] * 1e3


def _read(app):
    """Events a second, read from the log and decoded: the median of nine times."""
    return sorted(_read_once(app) for _ in range(9))[4]


def _read_once(app):
    start, read, last = time.perf_counter(), 0, 0
    while batch := app.recorder.select_notifications(last, 1000, inclusive_of_start=False):
        for notification in batch:
            app.mapper.to_domain_event(notification)
        read, last = read + len(batch), batch[-1].id
    return read / (time.perf_counter() - start)


def _floor(count):
    data = json.dumps(
        {
            "order_id": "O",
            "customer_id": "CUS-1",
            "items": basket.items(0),
            "total": basket.TOTAL,
            "currency": "USD",
        }
    )
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(FLOOR_TABLE)
        start = time.perf_counter()
        for _ in range(count):
            connection.execute(
                FLOOR_INSERT, (f"order-{uuid.uuid4()}", data, uuid.uuid4()), prepare=True
            )
        return count / (time.perf_counter() - start)
