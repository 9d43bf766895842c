"""The types that a subscription passes over are constants of its statements."""

import pytest

from eventstore import registry
from eventstore.outbox import cursors
from eventstore.postgres import rows

ODD = {"it's": "Counted", '100 % "of" %s': "Counted", "back\\slash": "Counted", "a,b{}": "Counted"}


@pytest.mark.parametrize("handled", ["Counted", "Other"])
def test_types_of_any_spelling_are_passed_over(toys, monkeypatch, handled):
    monkeypatch.setattr(registry, "renamed", lambda: ODD)
    monkeypatch.setattr(registry, "types", lambda: {"Counted": None, "Other": None})
    monkeypatch.setattr(cursors, "event_types_of", lambda name: [handled])
    cursors._with_types.cache_clear()
    text = "SELECT type FROM unnest(%s::text[]) AS type WHERE type <> ALL({types})"
    types = ["Counted", "Other", "New", *ODD]
    heard = rows(cursors._with_types(text, "toy.tallies"), [types])
    assert heard == [(handled,), ("New",)]


def test_who_handles_no_event_hears_none(toys, monkeypatch):
    monkeypatch.setattr(cursors, "event_types_of", lambda name: [])
    cursors._with_types.cache_clear()
    statement = cursors._with_types("SELECT %s AND 'Counted' <> ALL({types})", "x")
    assert rows(statement, [True]) == [(None,)]
