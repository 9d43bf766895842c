"""Killed and started again, or started twice: every document is imported exactly once."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from django.db import connection
from django.db.models import Count

from eventstore.models import Event
from retail_import.importing import issuing, planning
from retail_import.retail import source
from tests.eventstore.concurrently import in_thread

from .conftest import ORDERS

BATCHES = 9  # of four documents: 34 in all

CREDITED = {
    "orders.return_requested": 10,
    "orders.return_completed": 10,
    "orders.credit_issued": 7,
    "orders.ledger_adjusted": 3,
    "inventory.goods_restocked": 15,
    "payments.part_refunded": 10,
}


def placed():
    return Event.objects.filter(type="orders.order_placed").count()


def credited():
    """The number of events of each type that a credit note or the ledger leads to."""
    events = Event.objects.filter(type__in=CREDITED)
    return dict(events.values_list("type").annotate(count=Count("pk")))


def plan_of(file, dataset):
    return planning.make(file, None, folder=dataset.parent, opening=None, may_leave_out=False)


def kill_after(batches, dataset):
    settings = connection.settings_dict
    server = f"{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}"
    killed = subprocess.run(
        [sys.executable, "-m", "tests.retail_import.importing.killing", str(dataset), str(batches)],
        env=os.environ
        | {
            "DATABASE_URL": f"postgresql://{server}/{settings['NAME']}",
            "EVENTSTORE_WAKE_WORKERS": "0",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr


@pytest.mark.parametrize("batches", [1, 4, BATCHES])
def test_killed_it_goes_on_where_it_was(import_orders, dataset, batches):
    kill_after(batches, dataset)
    before = placed()

    run = import_orders(dataset)

    assert 0 < before <= ORDERS
    assert run.code == 0, run
    text = "continuing after" if batches < BATCHES else "is imported already"
    assert text in run.out
    assert placed() == ORDERS
    assert Event.objects.filter(type="inventory.stock_received").count() == 10, (
        "the opening stock, once"
    )
    assert credited() == CREDITED, "and every credit note"


def test_killed_twice_and_more_it_still_ends_right(import_orders, dataset):
    for _ in range(3):
        kill_after(2, dataset)

    assert import_orders(dataset).code == 0
    assert placed() == ORDERS
    assert credited() == CREDITED


def test_a_batch_that_breaks_leaves_nothing(import_orders, dataset, monkeypatch):
    """Documents, adjustments and the mark are one append."""
    monkeypatch.setattr("eventstore.registry.schema_version_of", broken)
    with pytest.raises(RuntimeError):
        import_orders(dataset)
    assert placed() == 0
    assert credited() == {}
    marks = Event.objects.filter(type="orders.import_advanced")
    assert [each["documents"] for each in marks.values_list("data", flat=True)] == [[]]
    monkeypatch.undo()
    assert import_orders(dataset).code == 0


def broken(name):
    if name == "orders.order_placed":
        raise RuntimeError("power cut")
    return 1


def test_the_slower_of_two_importers_stops(import_orders, dataset, monkeypatch):
    monkeypatch.setattr(issuing, "BATCH", 4)

    def overtaken(issued):
        if issued.documents == 8:
            assert import_orders(dataset).code == 0

    with source.copied(dataset) as file, pytest.raises(issuing.CannotGoOn, match="Another import"):
        issuing.issue(plan_of(file, dataset), overtaken)
    assert import_orders(dataset).code == 0
    assert placed() == ORDERS


def test_of_two_that_begin_at_once_one_goes_on(import_orders, dataset, monkeypatch):
    monkeypatch.setattr(issuing, "BATCH", 4)
    started = threading.Barrier(2)

    def importer():
        with source.copied(dataset) as file:
            plan = plan_of(file, dataset)
            started.wait(10)
            issuing.issue(plan, lambda issued: None)

    errors = [future.exception(30) for future in [in_thread(importer), in_thread(importer)]]

    assert sorted(map(type, errors), key=str) == sorted([type(None), issuing.CannotGoOn], key=str)
    assert import_orders(dataset).code == 0
    assert placed() == ORDERS
