"""manage.py work: a worker without Celery."""

import logging
import math
import threading
from typing import Any

from django.core.management.base import CommandParser

from eventstore.delivery import chores, heartbeats, worker
from eventstore.management import processes
from eventstore.management.command import EscapingCommand

logger = logging.getLogger(__name__)


class Command(EscapingCommand):
    help = (
        "Deliver to all subscriptions until SIGTERM or SIGINT. Any number of these may run, on any"
        " machine."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop when nothing is due any more")
        parser.add_argument(
            "--poll", type=float, default=1.0, help="seconds between two polls (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        processes.demand_guarantees()
        if options["once"]:
            self.stdout.write(f"{worker.work(seconds=math.inf)} messages delivered.")
        else:
            _run_until(processes.begin(), poll=options["poll"])
            heartbeats.sign_off(heartbeats.WORKER, heartbeats.BEAT)


def _run_until(stop: threading.Event, *, poll: float) -> None:
    rota = chores.Rota()
    while not stop.is_set():
        _attempt(worker.work)
        for chore in rota.due():
            _attempt(chore)
        stop.wait(poll)


def _attempt(work: Any) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001  such as a database restart: the next poll tries again
        logger.exception("scheduled work failed; the next poll retries it")
