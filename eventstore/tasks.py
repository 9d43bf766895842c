"""What Celery runs. The broker carries a nudge; what is owed to whom is in the tables."""

import atexit
from typing import Any

from celery import shared_task
from celery.signals import (
    beat_init,
    celeryd_init,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutdown,
)

from eventstore.delivery import chores, heartbeats, poller, worker
from eventstore.outbox import wakeup

from . import guarantees


@shared_task(
    name=wakeup.DELIVER, ignore_result=True, acks_late=True, expires=wakeup.DELIVER_EXPIRES
)  # type: ignore[untyped-decorator]
def deliver() -> None:
    worker.run_turn()


def _task(chore: chores.Chore) -> Any:
    """A turn that is not taken until the next one, or for half a minute, is not needed any more."""

    def do() -> None:
        chore()

    return shared_task(
        do, name=chore.task, ignore_result=True, acks_late=True, expires=max(30.0, chore.seconds)
    )


CHORES = {chore.task: _task(chore) for chore in chores.CHORES}


@worker_init.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def refuse_to_serve_without_guarantees(**_: Any) -> None:
    # Celery notes what a handler raises and goes on; it does not stop an exit.
    guarantees.demand_or_exit()


@celeryd_init.connect  # type: ignore[untyped-decorator]
def take_the_name_of_the_node(sender: str, **_: Any) -> None:
    heartbeats.call(sender.partition("@")[0])


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
@worker_shutdown.connect  # type: ignore[untyped-decorator]
def sign_off(**_: Any) -> None:
    """Of a pool's child, and of a worker that runs its tasks itself."""
    heartbeats.sign_off(heartbeats.WORKER)


@beat_init.connect  # type: ignore[untyped-decorator]
def sign_off_the_beat_at_its_end(**_: Any) -> None:
    """Celery has a signal for its beginning only, and ends it by SystemExit."""
    atexit.register(heartbeats.sign_off, heartbeats.BEAT)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def begin_to_deliver(**_: Any) -> None:
    worker.freeze_imports()
    poller.begin()
