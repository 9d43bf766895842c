"""Ours: the time to load a short and a long stream, each with a snapshot.

usage: python -m bench.one bench.depth EVENTS_IN_THE_LONG_STREAM (DATABASE_URL: a copy of
bench.template's)
"""

import json
import time
from statistics import median

import django

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.commands import repository
from inventory.events import StockReceived
from inventory.stock import STOCK

SHORT = 1000
BATCH = 5000
# Events after the last snapshot, as on most days.
AFTER_SNAPSHOT = 50


def main(long: int) -> None:
    django.setup()
    streams = {count: _grow(f"STREAM-OF-{count}", count) for count in (SHORT, long)}
    repository.take_snapshots()
    for stream in streams.values():
        _append(stream, AFTER_SNAPSHOT)
    times = {count: _load_ms(stream) for count, stream in streams.items()}
    print(json.dumps({"load_1k_ms": times[SHORT], "load_long_ms": times[long]}))


def _grow(sku: str, count: int) -> str:
    stream = stream_name(STOCK.category, sku)
    for written in range(0, count, BATCH):
        _append(stream, min(BATCH, count - written))
    return stream


def _append(stream: str, count: int) -> None:
    received = StockReceived(stream.partition("-")[2], 1)
    log.append(stream, [received] * count, expected=log.ANY)


def _load_ms(stream: str) -> float:
    times = []
    for _ in range(15):
        repository.forget()
        start = time.perf_counter()
        repository.load([stream])
        times.append(time.perf_counter() - start)
    return median(times) * 1e3
