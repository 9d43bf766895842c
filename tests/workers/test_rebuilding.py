"""A rebuild that the workers do, and what becomes of it when the one that folds is killed with
-9."""

import psutil
import pytest
from django.db.models import F

from eventstore.commands import bus
from eventstore.models import Event
from eventstore.projections import rebuild
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from inventory.models import StockLevel
from tests.eventstore.concurrently import until

from .told_rebuild import STEP, STOP_AT, positions

NAME = "inventory.stock_levels"
# As many products as events in a step: each step is a checkpoint of its own.
SKUS = [f"TEA-{number}" for number in range(STEP)]
COMMITTED = STOP_AT // STEP * STEP

pytestmark = [pytest.mark.worker, pytest.mark.slow]


@pytest.fixture
def log(no_tables_left):
    """The positions of what is to be folded; and a live table that is not what they make."""
    for number in range(12):
        bus.dispatch_all([ReceiveStock(sku, 1 + number) for sku in SKUS])
    drain()
    StockLevel.objects.update(received=F("received") + 1000)
    return list(
        Event.objects.filter(type="inventory.stock_received")
        .order_by("position")
        .values_list("position", flat=True)
    )


def the_machine(worker, folder):
    """With all that runs on it; another takes its place."""
    worker.kill()


def the_process(worker, folder):
    """Alone: its worker puts another in its place."""
    folder.kill()


@pytest.mark.parametrize("kill", [the_machine, the_process])
def test_killed_in_the_middle_of_a_step_it_is_gone_on_with_and_nothing_is_folded_twice(
    workers, log, tmp_path, kill
):
    told, before = tmp_path / "folded", rows()
    options = {"app": "tests.workers.told_rebuild", "environment": {"FOLDED": str(told)}}
    worker = workers(**options)
    asked = rebuild.request(NAME, who="grace", reason="it looks wrong")
    folder = until(lambda: standing_still(worker), seconds=60)
    assert (state(), rows()) == (("folding", COMMITTED), before)

    kill(worker, folder)
    if kill is the_machine:
        workers(**options)
    until(lambda: not rebuild.latest(NAME)[0].is_open, seconds=60)

    assert state() == ("swapped", len(log))
    assert [each.id for each in rebuild.latest(NAME)] == [asked.id], (
        "it was gone on with, and not begun anew"
    )
    assert positions(told)[:STOP_AT] == log[:STOP_AT]
    assert positions(told)[STOP_AT:] == log[COMMITTED:], (
        "what was committed with its rows was not folded again"
    )
    rebuilt = rows()
    rebuild.rebuild(NAME, who="grace")
    assert rebuilt == rows() != before


def standing_still(worker):
    return next(
        (each for each in worker.processes() if each.status() == psutil.STATUS_STOPPED), None
    )


def state():
    now = rebuild.latest(NAME)[0]
    return now.state, now.events


def rows():
    return list(StockLevel.objects.order_by("pk").values())
