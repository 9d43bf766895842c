"""What is to be done every so often, whether or not there is anything to deliver: by Celery's beat
or manage.py work.

A project's settings read it, before there are models; so the functions are named, and looked up
when it is time.
"""

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import NamedTuple


class Chore(NamedTuple):
    """task: its name for Celery. seconds: between two times. function: the dotted name of what does
    it."""

    task: str
    seconds: float
    function: str

    def __call__(self) -> None:
        module, _, name = self.function.rpartition(".")
        getattr(import_module(module), name)()


CHORES = (
    Chore("eventstore.clear_outbox", 10.0, "eventstore.operations.maintenance.clear_outbox"),
    Chore("eventstore.rebuild", 2.0, "eventstore.operations.maintenance.rebuild"),
    Chore("eventstore.watch", 5.0, "eventstore.operations.maintenance.watch"),
    Chore("eventstore.forget_answers", 600.0, "eventstore.operations.maintenance.forget_answers"),
    Chore("eventstore.forget_received", 600.0, "eventstore.operations.maintenance.forget_received"),
    Chore("eventstore.take_snapshots", 5.0, "eventstore.operations.maintenance.take_snapshots"),
)


class Rota:
    """Which chores are due in a process that does them by itself: at first all."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.next = now, dict.fromkeys(CHORES, now())

    def due(self) -> Iterator[Chore]:
        """Each is reckoned as done when it is told."""
        for chore, at in self.next.items():
            if at <= self.now():
                self.next[chore] = self.now() + chore.seconds
                yield chore
