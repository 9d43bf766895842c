"""Ours: rebuild the order details from the whole log, compared with COPY of the same rows.

usage: python -m bench.one bench.rebuild ROUNDS   (DATABASE_URL: a log that bench.fill has filled)
"""

import json
import time
from statistics import median

import django

from eventstore.postgres import execute
from eventstore.projections import rebuild

NAME = "orders.details"
TABLE = "orders_order_details"

MAKE_COPY = f"CREATE TABLE bench_copy (LIKE {TABLE} INCLUDING ALL)"
COPY_OUT = f"COPY {TABLE} TO STDOUT (FORMAT binary)"
COPY_IN = "COPY bench_copy FROM STDIN (FORMAT binary)"


def main(rounds: int) -> None:
    django.setup()
    measured = [_round() for _ in range(rounds)]
    figures = {
        "rebuild_events_per_s": median(count / seconds for count, seconds, _ in measured),
        "rebuild_share_of_copy": median(copy / seconds for _, seconds, copy in measured),
    }
    print(json.dumps(figures))


def _round() -> tuple[int, float, float]:
    start = time.perf_counter()
    done = rebuild.rebuild(NAME)
    return done.events, time.perf_counter() - start, _copy_seconds()


def _copy_seconds() -> float:
    """COPY into a table of the same form with the same indexes; reading the rows is not counted."""
    execute(MAKE_COPY).close()
    cursor = execute("SELECT 1")
    with cursor.copy(COPY_OUT) as out:
        data = b"".join(bytes(block) for block in out)
    start = time.perf_counter()
    with cursor.copy(COPY_IN) as into:
        into.write(data)
    seconds = time.perf_counter() - start
    execute("DROP TABLE bench_copy").close()
    return seconds
