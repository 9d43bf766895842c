"""The Celery tasks. The broker carries wake-ups only; the messages are in the database."""

import atexit
from typing import Any

from celery import shared_task
from celery.concurrency import prefork
from celery.signals import (
    beat_init,
    celeryd_init,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)

from eventstore.delivery import chores, heartbeats, listening, worker
from eventstore.outbox import wakeup

from . import guarantees


@shared_task(
    name=wakeup.DELIVER, ignore_result=True, acks_late=True, expires=wakeup.DELIVER_EXPIRES
)  # type: ignore[untyped-decorator]
def deliver() -> None:
    """Beat's poll. It is the fallback of the thread that listens in each process, and all that a
    worker has without one."""
    worker.run_turn_if_idle()


def _task(chore: chores.Chore) -> Any:
    """The task expires when the next one is due, but not within half a minute."""

    def do() -> None:
        chore()

    return shared_task(
        do, name=chore.task, ignore_result=True, acks_late=True, expires=max(30.0, chore.seconds)
    )


CHORES = {chore.task: _task(chore) for chore in chores.CHORES}


@worker_init.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def refuse_to_serve_without_guarantees(**_: Any) -> None:
    # Celery only logs an exception of a signal handler; it does not catch SystemExit.
    guarantees.demand_or_exit()


@celeryd_init.connect  # type: ignore[untyped-decorator]
def take_the_name_of_the_node(sender: str, **_: Any) -> None:
    heartbeats.call(sender.partition("@")[0])


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
@worker_shutdown.connect  # type: ignore[untyped-decorator]
def sign_off(**_: Any) -> None:
    """For a child of the pool, and for a worker that runs its tasks itself."""
    listening.this_process.end()
    heartbeats.sign_off(heartbeats.WORKER)


@beat_init.connect  # type: ignore[untyped-decorator]
def sign_off_the_beat_at_its_end(**_: Any) -> None:
    """Celery beat has no signal for its end; it ends with SystemExit."""
    atexit.register(heartbeats.sign_off, heartbeats.BEAT)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def begin_to_deliver(**_: Any) -> None:
    worker.freeze_imports()
    listening.this_process.begin()


@worker_ready.connect  # type: ignore[untyped-decorator]
def begin_to_deliver_without_children(sender: Any, **_: Any) -> None:
    """For a pool of threads: they share the process with the worker itself."""
    if not isinstance(sender.pool, prefork.TaskPool):
        begin_to_deliver()
