"""Word to the workers that there is something to do. It carries nothing, and losing it costs a second."""

import logging
import time

from django.conf import settings

logger = logging.getLogger(__name__)

# A broker that is down must not slow every request: after a failure we are silent for a while.
SILENT_SECONDS = 1.0
_silent_until = 0.0


def send() -> None:
    global _silent_until
    if not settings.EVENTSTORE_NUDGE or time.monotonic() < _silent_until:
        return
    from .tasks import deliver  # Celery is loaded only by who nudges

    try:
        deliver.apply_async(retry=False)
    except Exception as error:  # noqa: BLE001  whatever the broker's client raises; the poll makes delivery certain
        _silent_until = time.monotonic() + SILENT_SECONDS
        logger.warning("could not nudge the workers, the poll will: %s", error)
