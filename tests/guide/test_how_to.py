"""The code of the how-to pages runs, and does what the page says."""

import asyncio
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from django.core.management import CommandError
from django.db import connections, router
from django.utils import timezone

from eventstore import apps, guarantees
from eventstore.aggregate import CommandRejected
from eventstore.commands import bus
from examples.rooms.events import BookingCancelled, RoomBooked
from tests.tutorial.following import FENCED

FOLDER = Path(__file__).parents[2] / "docs/guide/how-to"
PAGES = sorted(FOLDER.glob("*.md"))


def code_of(page):
    """What the page's code without a path defines."""
    module = ModuleType(f"how_to_{page}")
    for block in FENCED.finditer((FOLDER / f"{page}.md").read_text()):
        if block["language"] == "python" and not block["path"]:
            exec(compile(block["content"], f"{page}.md", "exec"), vars(module))
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_code_runs(page):
    assert vars(code_of(page.stem))
    for block in FENCED.finditer(page.read_text()):
        if block["path"]:
            exec(compile(block["content"], page.name, "exec"), {})


def test_an_event_that_was_split_means_both():
    page = code_of("split")
    old = page.RoomBookedAndPaid("r1", "ada", 500)
    assert page.booked_and_paid(page.Room(), old) == page.Room("ada", 500)


def test_a_decision_over_two_streams_returns_events_for_both():
    page = code_of("decision")
    here = {"room-a": SimpleNamespace(slots={"b1": 1}), "room-b": SimpleNamespace(slots={})}
    assert set(page.move(here, page.MoveBooking("a", "b", "b1"))) == set(here)
    with pytest.raises(page.NotHere):
        page.move(here, page.MoveBooking("a", "b", "b2"))


def test_a_publication_counts_by_the_history():
    page = code_of("publication")
    at = timezone.now()
    event = RoomBooked("r1", "b1", "ada", at, at)
    history = [event, event, BookingCancelled("r1", "b1")]
    assert page.occupied(event, history) == [page.RoomOccupied("r1", 1)]


def test_an_async_view_dispatches(monkeypatch):
    page = code_of("async")
    outcome = bus.Outcome("room-r1", 3, 17, [])
    monkeypatch.setattr(bus, "dispatch", lambda command: outcome)
    assert asyncio.run(page.run(None, "command")).status_code == 202

    def reject(command):
        raise CommandRejected("taken")

    monkeypatch.setattr(bus, "dispatch", reject)
    assert asyncio.run(page.run(None, "command")).status_code == 409


@pytest.fixture
def other(monkeypatch):
    """A second database, of another kind."""
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    monkeypatch.setitem(connections.databases, "other", connections.databases["default"] | sqlite)
    yield "other"
    if hasattr(connections._connections, "other"):
        delattr(connections._connections, "other")


def test_without_a_router_another_kind_of_database_is_refused_in_a_sentence(other):
    with pytest.raises(CommandError, match="'other', which is sqlite.*DATABASE_ROUTERS"):
        apps._refuse_earlier(using=other)


def test_a_default_database_of_another_kind_is_left_to_the_check_of_the_wiring(other, monkeypatch):
    monkeypatch.setattr(guarantees, "DEFAULT_DB_ALIAS", other)
    assert guarantees.check_database(None, databases=[other]) == []


def test_with_the_router_of_the_page_it_is_left_alone(other, monkeypatch):
    monkeypatch.setattr(router, "routers", [code_of("router").EventStoreRouter()])
    apps._refuse_earlier(using=other)
