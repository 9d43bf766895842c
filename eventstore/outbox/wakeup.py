"""Wake the workers when there is something to deliver. The wake-up carries no data, and losing one
delays delivery by one poll interval, a second."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from eventstore import settings

logger = logging.getLogger(__name__)

# The name of the task that delivers. A task that no worker took within DELIVER_EXPIRES seconds is
# dropped.
DELIVER = "eventstore.deliver"
DELIVER_EXPIRES = 30
# At most one wake-up per GAP_SECONDS: it serves for everything written until a worker starts, and a
# worker looks for more for as long. More of them would only load the broker.
GAP_SECONDS = 0.05
# Pause after the broker could not be reached.
SILENT_SECONDS = 1.0

_requested = threading.Event()
_quiet = threading.local()
_thread_of_process = 0


def wake_workers() -> None:
    """Request a wake-up. A thread of its own publishes it, so no request waits for the broker."""
    global _thread_of_process
    if not settings.wake_workers() or getattr(_quiet, "now", False):
        return
    # A thread does not survive a fork, so each process starts its own.
    if _thread_of_process != os.getpid():
        _thread_of_process = os.getpid()
        threading.Thread(target=_publish_for_ever, name="wakeup", daemon=True).start()
    _requested.set()


@contextmanager
def quiet() -> Iterator[None]:
    """For a worker: it delivers what it writes itself, so no wake-up is needed."""
    _quiet.now = True
    try:
        yield
    finally:
        _quiet.now = False


def _publish_for_ever() -> None:
    while True:
        _requested.wait()
        _requested.clear()
        time.sleep(GAP_SECONDS if _publish() else SILENT_SECONDS)


def _publish() -> bool:
    from celery import current_app  # imported only where wake-ups are enabled

    try:
        # By name: the task's module is in a higher layer than this one.
        current_app.send_task(DELIVER, retry=False, ignore_result=True, expires=DELIVER_EXPIRES)
    except Exception as error:  # noqa: BLE001  whatever the broker's client raises; workers poll anyway
        logger.warning("could not notify workers; they will poll: %s", error)
        return False
    return True
