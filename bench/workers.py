"""Run a real Celery worker for a contender; it answers a ping before the clock starts."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery

from . import children

PATIENCE_SECONDS = 60.0


@contextmanager
def worker(app: Celery, module: str, processes: int) -> Iterator[None]:
    """`celery -A module worker -c processes`, ready to receive tasks."""
    celery = (sys.executable, "-W", "ignore", "-m", "celery", "-q", "-A", module, "worker")
    options = ("-c", str(processes), "-l", "ERROR", "--without-gossip", "--without-mingle")
    with children.member(*celery, *options):
        _wait_for_answer(app)
        yield


def _wait_for_answer(app: Celery) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not app.control.ping(timeout=0.5, limit=1):
        if time.monotonic() > until:
            raise SystemExit("bench: the Celery worker does not answer")
