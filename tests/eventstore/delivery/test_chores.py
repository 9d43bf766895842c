"""One table of chores, whoever does them: Celery's beat, or `manage.py work` where there is no
Celery."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from celery import current_app
from django.conf import settings
from django.utils import timezone

from eventstore import defaults
from eventstore.delivery import chores, worker
from eventstore.management.commands import work
from eventstore.models import DeferredCommand
from tests.eventstore.concurrently import in_thread, until

ONCE = timedelta(days=365)


@pytest.fixture
def old(toys):
    """A command that a client left here a year ago, and that was decided then."""
    return DeferredCommand.objects.create(
        id=uuid4(),
        principal="ada",
        location="/",
        status="SUCCEEDED",
        deferred_at=timezone.now() - ONCE,
    )


@pytest.mark.django_db(transaction=True)
def test_without_celery_what_became_of_deferred_commands_is_forgotten_too(old):
    stop = threading.Event()
    worker = in_thread(lambda: work._run_until(stop, poll=0.01))
    try:
        until(lambda: not DeferredCommand.objects.exists(), seconds=10)
    finally:
        stop.set()
        worker.result(10)


@pytest.mark.django_db(transaction=True)
def test_nor_are_they_kept_by_who_does_every_chore_at_once(old):
    worker.housekeep()
    assert not DeferredCommand.objects.exists()


def test_celery_has_a_task_for_each_and_the_beat_sends_it_as_often_as_the_table_says():
    current_app.loader.import_default_modules()
    schedule = {each["task"]: each["schedule"] for each in settings.CELERY_BEAT_SCHEDULE.values()}
    assert schedule == {"eventstore.deliver": 1.0} | {
        each.task: each.seconds for each in chores.CHORES
    }
    assert set(schedule) <= set(current_app.tasks)
    assert len(defaults.beat_schedule()) == len(chores.CHORES) + 1


def test_in_one_process_each_is_due_at_first_and_then_after_its_seconds():
    clock = [0.0]
    rota = chores.Rota(now=lambda: clock[0])
    assert list(rota.due()) == list(chores.CHORES)
    assert list(rota.due()) == []
    for _ in range(601):
        clock[0] += 1.0
        for chore in rota.due():
            clock.append(chore)
    times = {chore.task: clock[1:].count(chore) for chore in chores.CHORES}
    assert times == {chore.task: 601 // chore.seconds for chore in chores.CHORES}
