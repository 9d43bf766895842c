"""Ours: the order details folded anew from the whole log, beside what COPY of the same rows takes.

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
    print(
        json.dumps(
            {
                "rebuild_events_per_s": median(count / seconds for count, seconds, _ in measured),
                "rebuild_share_of_copy": median(copy / seconds for _, seconds, copy in measured),
            }
        )
    )


def _round() -> tuple[int, float, float]:
    start = time.perf_counter()
    done = rebuild.rebuild(NAME)
    return done.events, time.perf_counter() - start, _copy_seconds()


def _copy_seconds() -> float:
    """Into a table of the same form with the same indexes; what is read for it is not counted."""
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
