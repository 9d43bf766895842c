"""Measure the rate of concurrent writers, with the same clock for every contender."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from . import basket

# Seconds for the slowest writer to be ready; after that one has failed.
PATIENCE = 60


def rate(
    save: Callable[[int], None],
    writers: int,
    count: int,
    *,
    leave: Callable[[], None] = lambda: None,
) -> float:
    """Appends per second. save: append this many in the calling thread. leave: called by each
    thread
    at its end.

    Each writer has its connection and plans before the clock starts.
    """
    ready = Barrier(writers + 1, timeout=PATIENCE)

    def write() -> float:
        save(basket.WARM_UP)
        ready.wait()
        save(count // writers)
        ended = time.perf_counter()
        leave()
        return ended

    with ThreadPoolExecutor(writers) as threads:
        written = [threads.submit(write) for _ in range(writers)]
        ready.wait()
        start = time.perf_counter()
        return count / (max(each.result() for each in written) - start)
