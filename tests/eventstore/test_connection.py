"""A worker whose connection broke is well again at its next turn, whoever keeps the connection open meanwhile."""

import pytest
from django.db import connection

from eventstore import store, tasks
from eventstore.store import ANY, append
from eventstore.testing import drain

from .toy import Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture(autouse=True)
def _connected_again(toys):
    yield
    connection.close()


def break_the_connection(another):
    another().execute("SELECT pg_terminate_backend(%s, 1000)", [connection.connection.info.backend_pid])


def test_the_next_turn_connects_anew(another):
    append("counter-a", [Counted("a")], expected=ANY)
    break_the_connection(another)
    tasks.deliver()
    assert Tally.objects.get().heard == [1]


def test_so_does_a_turn_after_one_that_broke_in_the_middle(another, monkeypatch):
    append("counter-a", [Counted("a")], expected=ANY)
    real = store.write
    with monkeypatch.context() as patch:
        patch.setattr("eventstore.projections.project", lambda *args: break_the_connection(another))
        with pytest.raises(Exception, match="terminat|closed|lost"):
            tasks.deliver()
    assert store.write is real
    tasks.deliver()
    assert Tally.objects.get().heard == [1]


def test_a_request_that_finds_its_connection_broken_connects_anew(another):
    """Django begins a request by closing what is no longer usable; the engine's statements must go the same way."""
    append("counter-a", [Counted("a")], expected=ANY)
    break_the_connection(another)
    connection.close_if_unusable_or_obsolete()
    assert len(list(store.read_stream("counter-a"))) == 1


def test_a_connection_that_is_well_is_not_asked_how_it_is(monkeypatch):
    """Django would ask, with each request; a server that hangs up says so by itself."""
    append("counter-a", [Counted("a")], expected=ANY)
    asked = []
    monkeypatch.setattr(connection, "is_usable", lambda: asked.append(1) or True)
    connection.close_if_unusable_or_obsolete()
    assert len(list(store.read_stream("counter-a"))) == 1
    assert asked == []


def test_statements_are_planned_once_for_a_connection():
    for _ in range(4):
        append("counter-a", [Counted("a")], expected=ANY)
    drain()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%eventstore_append_open%'")
        assert cursor.fetchone() == (1,)
