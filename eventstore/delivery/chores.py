"""Periodic chores, whether or not there is anything to deliver: run by Celery beat or by manage.py
work.

A project's settings import this module before models are loaded. So a chore has the dotted name of
its function, which is imported when it runs.
"""

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import NamedTuple


class Chore(NamedTuple):
    """task: its name for Celery. seconds: between two runs. function: the dotted name of what to
    run."""

    task: str
    seconds: float
    function: str

    def __call__(self) -> None:
        module, _, name = self.function.rpartition(".")
        getattr(import_module(module), name)()


CHORES = (
    Chore("eventstore.clear_outbox", 10.0, "eventstore.operations.maintenance.clear_outbox"),
    Chore(
        "eventstore.clear_integration_outbox",
        2.0,
        "eventstore.operations.maintenance.clear_integration_outbox",
    ),
    Chore("eventstore.rebuild", 2.0, "eventstore.operations.maintenance.rebuild"),
    Chore("eventstore.watch", 5.0, "eventstore.operations.maintenance.watch"),
    Chore("eventstore.forget_answers", 600.0, "eventstore.operations.maintenance.forget_answers"),
    Chore("eventstore.forget_received", 600.0, "eventstore.operations.maintenance.forget_received"),
    Chore("eventstore.tend_webhooks", 60.0, "eventstore.operations.maintenance.tend_webhooks"),
    Chore("eventstore.take_snapshots", 5.0, "eventstore.operations.maintenance.take_snapshots"),
)


class Rota:
    """Schedules the chores in a process without Celery; at the start all are due."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.next = now, dict.fromkeys(CHORES, now())

    def due(self) -> Iterator[Chore]:
        """Schedules the next run of each chore that it returns."""
        for chore, at in self.next.items():
            if at <= self.now():
                self.next[chore] = self.now() + chore.seconds
                yield chore
