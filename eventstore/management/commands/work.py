"""manage.py work: the worker of a project that runs without Celery."""

import logging
import math
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import guarantees
from eventstore.delivery import chores, heartbeats, worker

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Deliver to every subscription until told to stop. Any number of these may run, on any"
        " machine."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="only until nothing is due any more"
        )
        parser.add_argument(
            "--poll", type=float, default=1.0, help="seconds between two looks (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            guarantees.demand()
        except guarantees.Broken as error:
            raise CommandError(str(error)) from None
        if options["once"]:
            self.stdout.write(f"{worker.work(seconds=math.inf)} messages delivered.")
        else:
            worker.freeze_imports()
            _until(_told_to_stop(), poll=options["poll"])
            heartbeats.sign_off(heartbeats.WORKER, heartbeats.BEAT)


def _told_to_stop() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _until(stop: threading.Event, *, poll: float) -> None:
    rota = chores.Rota()
    while not stop.is_set():
        _attempt(worker.work)
        for chore in rota.due():
            _attempt(chore)
        stop.wait(poll)


def _attempt(turn: Any) -> None:
    try:
        turn()
    except Exception:  # noqa: BLE001  a database that restarts, a subscription at fault: the next turn takes it again
        logger.exception("a turn failed")
