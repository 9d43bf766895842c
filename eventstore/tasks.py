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

from . import (
    answers,
    durability,
    heartbeats,
    inbox,
    left,
    outbox,
    polling,
    rebuilding,
    samples,
    settings,
    states,
    watching,
    working,
)


@shared_task(name="eventstore.deliver", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def deliver() -> None:
    working.take_turn()


@shared_task(name="eventstore.take_snapshots", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def take_snapshots() -> None:
    states.take_snapshots()


@shared_task(name="eventstore.watch", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def watch() -> None:
    watching.warn()
    heartbeats.note(heartbeats.BEAT)
    heartbeats.forget()
    samples.take()


@shared_task(name="eventstore.clear_outbox", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def clear_outbox() -> None:
    outbox.clear(retention=settings.outbox_retention(), limit=working.CLEARED_AT_ONCE)


@shared_task(name="eventstore.forget_answers", ignore_result=True, acks_late=True, expires=600)  # type: ignore[untyped-decorator]
def forget_answers() -> None:
    answers.forget(older_than=settings.answers_kept())
    left.forget(older_than=settings.answers_kept())


@shared_task(name="eventstore.forget_received", ignore_result=True, acks_late=True, expires=600)  # type: ignore[untyped-decorator]
def forget_received() -> None:
    inbox.forget(older_than=settings.inbox_kept())


@shared_task(name="eventstore.rebuild", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def rebuild() -> None:
    rebuilding.work(seconds=5.0)


@worker_init.connect  # type: ignore[untyped-decorator]
def refuse_an_unsafe_database(**_: Any) -> None:
    try:
        durability.demand()
    except durability.UnsafeDatabase as error:
        # Celery notes what a handler raises and goes on; it does not stop an exit.
        raise SystemExit(str(error)) from None


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
    working.settle_down()
    polling.begin()
