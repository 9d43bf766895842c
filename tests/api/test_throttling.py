"""Rate limits: RateLimit headers, and 429 as a registered problem type."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections
from rest_framework.throttling import SimpleRateThrottle

from access import admission

from .conftest import problem

pytestmark = pytest.mark.django_db

LOGIN, ORDERS = "/api/auth/login/", "/api/queries/orders/"
WRONG = {"username": "ada", "password": "guessed"}


@pytest.fixture
def rates(monkeypatch):
    return lambda **rates: monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", rates)


def left(answer):
    """policy, r and t of a response with one limit."""
    policy, left, seconds = re.fullmatch(
        r'"([a-z]+)";r=(\d+);t=(\d+)', answer["RateLimit"]
    ).groups()
    return policy, int(left), int(seconds)


def test_each_answer_tells_what_is_left_and_when_it_begins_anew(ada, rates):
    rates(user="3/min")
    responses = [ada.get(ORDERS) for _ in range(4)]
    assert {answer["RateLimit-Policy"] for answer in responses} == {'"user";q=3;w=60'}
    assert [left(answer)[:2] for answer in responses] == [
        ("user", 2),
        ("user", 1),
        ("user", 0),
        ("user", 0),
    ]
    assert all(0 < left(answer)[2] <= 60 for answer in responses)


def test_who_asks_too_often_is_told_which_limit_it_was_and_not_to_come_before_it_ends(ada, rates):
    rates(user="1/min")
    ada.get(ORDERS)
    late = ada.get(ORDERS)
    assert problem(late, 429, "Throttled")["violated-policies"] == ["user"]
    assert int(late["Retry-After"]) >= left(late)[2] > 0


def test_errors_and_answers_of_commands_are_counted_and_told_too(ada, rates):
    rates(user="9/min")
    assert left(ada.get("/api/queries/orders/none/"))[1] == 8
    assert left(ada.post("/api/commands/orders/", {}))[1] == 7
    assert left(ada.place({"sku": "NONE", "quantity": 1}))[1] == 6


def test_where_nothing_is_counted_nothing_is_said(ada, anonymous):
    for answer in (ada.get(ORDERS), anonymous.get(ORDERS), anonymous.get("/health/live")):
        assert "RateLimit" not in answer
        assert "RateLimit-Policy" not in answer


def test_guessing_is_slowed_down(anonymous, rates):
    rates(login="2/min")
    for _ in range(2):
        problem(anonymous.post(LOGIN, WRONG), 401)
    late = anonymous.post(LOGIN, WRONG, **{"X-Forwarded-For": "10.0.0.9"})
    assert problem(late, 429, "Throttled")["violated-policies"] == ["login"]
    assert left(late)[:2] == ("login", 0)
    assert 0 < int(late["Retry-After"]) <= 60


@pytest.mark.django_db(transaction=True)
def test_a_limit_of_ten_is_ten_however_many_ask_at_once(ada, rates):
    rates(user="10/hour")
    barrier = Barrier(40)

    def go(_):
        barrier.wait()
        try:
            return ada.get(ORDERS)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(40) as pool:
        responses = list(pool.map(go, range(40)))
    served = [answer for answer in responses if answer.status_code == 200]
    assert sorted(left(answer)[1] for answer in served) == list(range(10))
    late = [answer for answer in responses if answer.status_code != 200]
    assert len(late) == 30
    for answer in late:
        problem(answer, 429, "Throttled")
        assert left(answer)[2] <= int(answer["Retry-After"]) <= 3600
    assert admission.COUNTER.local == {}, "this process has counted for itself"


def test_without_a_redis_each_process_counts_for_itself(ada, rates, monkeypatch, caplog):
    rates(user="2/min")
    counter = admission.RequestCounter("redis://127.0.0.1:1")
    monkeypatch.setattr(admission, "COUNTER", counter)
    responses = [ada.get(ORDERS) for _ in range(3)]
    assert [answer.status_code for answer in responses] == [200, 200, 429]
    assert [left(answer)[1] for answer in responses] == [1, 0, 0]
    assert caplog.text.count("each process counts requests for itself") == 1


def test_a_limit_is_each_users_own(ada, grace, rates):
    rates(user="1/min")
    assert ada.get(ORDERS).status_code == 200
    problem(ada.get(ORDERS), 429, "Throttled")
    assert grace.get(ORDERS).status_code == 200


def test_two_limits_are_told_side_by_side_and_the_later_one_says_when_to_come_back(
    anonymous, rates
):
    rates(login="1/min", account="1/hour")
    anonymous.post(LOGIN, WRONG)
    late = anonymous.post(LOGIN, WRONG)
    assert late["RateLimit-Policy"] == '"login";q=1;w=60, "account";q=1;w=3600'
    assert re.fullmatch(r'"login";r=0;t=\d+, "account";r=0;t=\d+', late["RateLimit"])
    assert problem(late, 429)["violated-policies"] == ["login", "account"]
    assert int(late["Retry-After"]) > 60
