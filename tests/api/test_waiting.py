"""A waiting query occupies a thread: few wait at once, and the others respond at once."""

from types import SimpleNamespace

import pytest

from eventstore.api import read_your_writes

from .conftest import problem

pytestmark = pytest.mark.usefixtures("shop")

ORDERS = "/api/queries/orders/"
NOT_YET = {"X-Min-Version": "999", "Prefer": "wait=5"}


@pytest.fixture
def while_waiting(monkeypatch):
    """Runs act in each pause of a query, whose clock stands still otherwise."""

    def make(act):
        clock = [0.0]

        def sleep(seconds):
            clock[0] += seconds
            act()

        monkeypatch.setattr(
            "eventstore.api.read_your_writes.time",
            SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep),
        )

    return make


def asked_within_each_other(while_waiting, asks):
    """Each request is sent while the one before waits; the last one responds first."""
    answers, left = [], list(asks)

    def ask():
        if left:
            answers.append(left.pop(0)())

    while_waiting(ask)
    ask()
    return answers


def test_of_one_user_so_many_wait_and_the_next_one_is_told_to_come_again(
    ada, grace, settings, while_waiting
):
    settings.EVENTSTORE_MOST_WAITING, settings.EVENTSTORE_MOST_WAITING_PER_USER = 3, 2
    hers, his = ada.place()["Location"], grace.place()["Location"]
    asks = [lambda: ada.get(hers, **NOT_YET)] * 3 + [lambda: grace.get(his, **NOT_YET)] * 2
    # The third does not wait and responds first; the one before it goes on waiting, and the next
    # one is sent.
    answers = asked_within_each_other(while_waiting, asks)
    assert sorted(each.status_code for each in answers) == [412, 412, 412, 503, 503]
    for each in answers:
        if each.status_code == 503:
            problem(each, 503, "TooManyWait")
            assert each["Retry-After"] == "1"
    assert not read_your_writes._waiting


def test_what_the_log_has_is_told_without_a_wait(ada, settings, while_waiting):
    settings.EVENTSTORE_MOST_WAITING = 0
    placed = ada.place()
    response = ada.get(placed["Location"], **{"X-Min-Version": "1", "Prefer": "wait=5"})
    assert (response.status_code, response["X-Answered-From"]) == (200, "event-log")


def test_a_list_that_cannot_wait_says_when_to_come_again(ada, settings, while_waiting):
    settings.EVENTSTORE_MOST_WAITING = 0
    position = ada.place()["Min-Position"]
    late = ada.get(ORDERS, **{"Min-Position": position, "Prefer": "wait=5"})
    problem(late, 503, "ReadModelBehind")
    assert late["Retry-After"] == "1"


def test_who_waits_looks_less_and_less_often(ada, while_waiting):
    pauses = []
    while_waiting(lambda: pauses.append(1))
    problem(ada.get(ada.place()["Location"], **NOT_YET), 412, "NotThereYet")
    assert 25 < len(pauses) < 50
