"""Word to the workers that there is something to do. It carries nothing, and losing it costs a
second."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from eventstore import settings

logger = logging.getLogger(__name__)

# The task that delivers, by its name; one that no worker took for so many seconds is not needed any
# more.
DELIVER = "eventstore.deliver"
DELIVER_EXPIRES = 30
# One nudge serves all that was written until it is heard, and who heard it looks for more as long
# as this: more of them would only keep the broker and both ends of it busy.
GAP_SECONDS = 0.05
# A broker that is down is left alone for a while.
SILENT_SECONDS = 1.0

_wanted = threading.Event()
_quiet = threading.local()
_thread_of_process = 0


def wake_workers() -> None:
    """Ask for a nudge. It is published by a thread of its own: no request waits for the broker, up
    or down."""
    if settings.wake_workers() and not getattr(_quiet, "now", False):
        _ensure_thread()
        _wanted.set()


@contextmanager
def quiet() -> Iterator[None]:
    """For who delivers: what it writes itself, it will deliver itself."""
    _quiet.now = True
    try:
        yield
    finally:
        _quiet.now = False


def _ensure_thread() -> None:
    global _thread_of_process
    # A thread does not survive a fork, so each process has its own.
    if _thread_of_process != os.getpid():
        _thread_of_process = os.getpid()
        threading.Thread(target=_publish_for_ever, name="nudge", daemon=True).start()


def _publish_for_ever() -> None:
    while True:
        _wanted.wait()
        _wanted.clear()
        time.sleep(GAP_SECONDS if _publish() else SILENT_SECONDS)


def _publish() -> bool:
    from celery import current_app  # loaded only where workers are nudged

    try:
        # By its name, as workers know it: what they do lies above this module.
        current_app.send_task(DELIVER, retry=False, ignore_result=True, expires=DELIVER_EXPIRES)
    except Exception as error:  # noqa: BLE001  whatever the broker's client raises; the poll makes delivery certain
        logger.warning("could not nudge the workers, the poll will: %s", error)
        return False
    return True
