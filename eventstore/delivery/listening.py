"""Deliver when a wake-up comes, and poll: a thread of each process of a worker.

The thread hears of work itself, within a few milliseconds. Celery starts the process, restarts it,
and brings it the chores; a wake-up that went through Celery as a task took seven. That anything is
delivered at all depends on the database only: the thread also looks by itself, every few seconds,
and each second while the broker is away.
"""

import logging
import os
import threading

from eventstore import postgres
from eventstore.outbox import wakeup

from . import worker

logger = logging.getLogger(__name__)

# Celery beat polls each second. This is for a beat that is dead.
POLL_SECONDS = 5.0


class Listening:
    """The thread that delivers in this process: a turn for each wake-up, and one each
    POLL_SECONDS."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._thread_of_process = 0

    def begin(self) -> None:
        """For each process of a worker that runs tasks, after its fork."""
        if not self.is_alive():
            self._thread = threading.Thread(target=self._run, name="deliver", daemon=True)
            self._thread_of_process = os.getpid()
            self._thread.start()

    def is_alive(self) -> bool:
        """Whether the thread delivers in this process: a thread does not survive a fork."""
        if self._thread is None or self._thread_of_process != os.getpid():
            return False
        return self._thread.is_alive()

    def end(self) -> None:
        """Let the turn under way finish; none begins any more in this process."""
        if self.is_alive():
            worker.this_process.finish()

    def _run(self) -> None:
        listener = wakeup.worker_listener()
        while True:
            try:
                worker.run_turn()
            except Exception:  # noqa: BLE001  a thread that ended would never deliver again
                logger.exception("delivery failed; next poll in %.0f s", POLL_SECONDS)
                postgres.close()
            listener.wait(POLL_SECONDS)


this_process = Listening()
