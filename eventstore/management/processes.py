"""What commands have in common that deliver until they are stopped."""

import signal
import threading

from django.core.management.base import CommandError

from eventstore import guarantees
from eventstore.delivery import worker


def demand_guarantees() -> None:
    """Raises CommandError if a guarantee does not hold."""
    try:
        guarantees.demand()
    except guarantees.Broken as error:
        raise CommandError(str(error)) from None


def begin() -> threading.Event:
    """Make this process one that only delivers. Returns what SIGTERM and SIGINT set."""
    worker.freeze_imports()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
