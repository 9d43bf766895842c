"""A worker delivers also when it hears nothing: its broker gone, its connection to it broken, no
beat alive.

Nudges and the beat's poll make delivery quick. That it comes to pass depends on the database alone.
"""

import logging
import threading
import time

from eventstore import postgres

from . import worker as working

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 5.0


def begin() -> None:
    """For each process of a worker that runs tasks, after its fork."""
    working.hear()
    threading.Thread(target=_poll_for_ever, name="poll", daemon=True).start()


def _poll_for_ever() -> None:
    while True:
        time.sleep(max(SILENCE_SECONDS - working.silent_seconds(), 0.1))
        if working.silent_seconds() >= SILENCE_SECONDS:
            _poll()


def _poll() -> None:
    try:
        working.run_turn()
    except Exception:  # noqa: BLE001  whatever it is, a thread that ended would never ask again
        logger.exception(
            "a turn that nobody asked for has failed; the next one is in %.0f s", SILENCE_SECONDS
        )
    finally:
        postgres.close()
