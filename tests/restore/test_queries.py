"""Queries for a position that the client has seen and the log has lost since."""

import pytest
from django.contrib.auth.models import User

from eventstore.log import epochs
from eventstore.testing import drain
from tests.api.conftest import Api, problem

from .losing import forget_the_mark, last, lose_behind

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada(cups):
    return Api(User.objects.create(username="ada"))


@pytest.fixture
def lost(ada):
    """An existing order, and the position of a lost one."""
    kept = ada.placed()
    drain()
    whole = last()
    gone = ada.placed()
    seen = last()
    lose_behind(whole)
    forget_the_mark()
    epochs.renew()
    return kept, gone, seen


def test_it_is_answered_with_the_position_up_to_which_nothing_was_lost(ada, lost):
    kept, gone, seen = lost
    intact = str(epochs.history()[-1].intact)
    for path in (
        f"/api/queries/orders/{kept}/",
        f"/api/queries/orders/{kept}/history/",
        "/api/queries/orders/",
    ):
        answer = ada.get(path, **{"Min-Position": str(seen)})
        assert (answer.status_code, answer["Restarted-After"]) == (200, intact)


def test_the_version_that_was_seen_with_it_is_not_waited_for(ada, lost):
    kept, _, seen = lost
    answer = ada.get(
        f"/api/queries/orders/{kept}/", **{"Min-Position": str(seen), "X-Min-Version": "9"}
    )
    assert (answer.status_code, answer.json()["order_id"]) == (200, kept)


def test_what_is_lost_is_not_found(ada, lost):
    _, gone, seen = lost
    answer = ada.get(f"/api/queries/orders/{gone}/", **{"Min-Position": str(seen)})
    problem(answer, 404)
    assert answer["Restarted-After"]


def test_what_was_seen_before_or_since_is_asked_for_as_ever(ada, lost):
    kept, _, _ = lost
    new = ada.placed()
    for path, position in ((kept, epochs.history()[-1].intact), (new, last())):
        answer = ada.get(f"/api/queries/orders/{path}/", **{"Min-Position": str(position)})
        assert (answer.status_code, "Restarted-After" in answer) == (200, False)


def test_a_process_that_does_not_know_yet_learns_of_it(ada, lost, monkeypatch):
    kept, _, seen = lost
    monkeypatch.setattr(epochs, "_cached", None)
    assert ada.get(f"/api/queries/orders/{kept}/", **{"Min-Position": str(seen)})["Restarted-After"]
