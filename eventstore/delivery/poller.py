"""Poll without Celery tasks: a worker delivers also when the broker is gone, its connection to the
broker is broken, or Celery beat is down.

Wake-ups and the poll of Celery beat make delivery fast. That it happens at all depends on the
database only.
"""

import logging
import threading
import time

from eventstore import postgres

from . import worker

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 5.0


def begin() -> None:
    """Start the poller. For each process of a worker that runs tasks, after its fork."""
    worker.this_process.touch()
    Poller(name="poll", daemon=True).start()


class Poller(threading.Thread):
    """Runs a turn whenever the worker has got no task for SILENCE_SECONDS."""

    def run(self) -> None:
        while True:
            time.sleep(max(SILENCE_SECONDS - worker.this_process.silent_seconds(), 0.1))
            if worker.this_process.silent_seconds() < SILENCE_SECONDS:
                continue
            try:
                worker.run_turn()
            except Exception:  # noqa: BLE001  a thread that ended would never poll again
                logger.exception("scheduled poll failed; next poll in %.0f s", SILENCE_SECONDS)
            finally:
                postgres.close()
