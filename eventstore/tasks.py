"""What Celery runs. The broker carries a nudge; what is owed to whom is in the tables."""

from celery import shared_task

from . import answers, inbox, outbox, settings, states, watching, working


@shared_task(name="eventstore.deliver", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def deliver() -> None:
    working.work()


@shared_task(name="eventstore.take_snapshots", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def take_snapshots() -> None:
    states.take_snapshots()


@shared_task(name="eventstore.watch", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def watch() -> None:
    watching.warn()


@shared_task(name="eventstore.clear_outbox", ignore_result=True, acks_late=True, expires=30)  # type: ignore[untyped-decorator]
def clear_outbox() -> None:
    outbox.clear(retention=settings.outbox_retention(), limit=working.CLEARED_AT_ONCE)


@shared_task(name="eventstore.forget_answers", ignore_result=True, acks_late=True, expires=600)  # type: ignore[untyped-decorator]
def forget_answers() -> None:
    answers.forget(older_than=settings.answers_kept())


@shared_task(name="eventstore.forget_received", ignore_result=True, acks_late=True, expires=600)  # type: ignore[untyped-decorator]
def forget_received() -> None:
    inbox.forget(older_than=settings.inbox_kept())
