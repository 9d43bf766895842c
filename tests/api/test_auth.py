"""Log in, bear the token, log out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.throttling import SimpleRateThrottle

from config import throttling

from .conftest import Api, pointers, problem

pytestmark = pytest.mark.django_db

LOGIN, LOGOUT, ORDERS = "/api/auth/login/", "/api/auth/logout/", "/api/queries/orders/"
ADA = {"username": "ada", "password": " a secret "}


@pytest.fixture
def account(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_user(**ADA)


def test_a_token_serves_until_its_bearer_logs_out(account, anonymous):
    told = anonymous.post(LOGIN, ADA).json()
    assert set(told) == {"token", "expiry"}
    bearer = {"Authorization": f"Bearer {told['token']}"}
    assert anonymous.get(ORDERS, **bearer).status_code == 200
    assert anonymous.post(LOGOUT, **bearer).status_code == 204
    problem(anonymous.get(ORDERS, **bearer), 401, "AuthenticationFailed")


def test_logging_out_ends_no_other_token(account):
    here, there = Api(account), Api(account)
    here.post(LOGOUT)
    assert there.get(ORDERS).status_code == 200


@pytest.mark.parametrize("wrong", [{"password": "another"}, {"username": "nobody"}, {"password": "a secret"}])
def test_who_is_not_known_gets_no_token(account, anonymous, wrong):
    answer = anonymous.post(LOGIN, ADA | wrong)
    problem(answer, 401, "AuthenticationFailed")
    assert answer["WWW-Authenticate"] == "Bearer"


def test_who_is_barred_gets_no_token_and_bears_none(account, anonymous):
    bearer = Api(account)
    account.is_active = False
    account.save()
    problem(anonymous.post(LOGIN, ADA), 401, "AuthenticationFailed")
    problem(bearer.get(ORDERS), 401, "AuthenticationFailed")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"username": "ada"}, "#/password"),
        (ADA | {"username": "a\0"}, "#/username"),
        (ADA | {"username": 1}, "#/username"),
        (ADA | {"otp": 1}, "#/otp"),
    ],
)
def test_a_malformed_login_is_named(anonymous, body, pointer):
    assert pointers(anonymous.post(LOGIN, body)) == [pointer]


def test_a_token_expires_and_the_next_login_clears_it_away(account, anonymous):
    old = Api(account)
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    problem(old.get(ORDERS), 401, "AuthenticationFailed")
    anonymous.post(LOGIN, ADA)
    assert AuthToken.objects.count() == 1


def test_guessing_is_slowed_down(account, anonymous, monkeypatch):
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", {"login": "2/min"})
    for _ in range(2):
        problem(anonymous.post(LOGIN, ADA | {"password": "guessed"}), 401)
    answer = anonymous.post(LOGIN, ADA, **{"X-Forwarded-For": "10.0.0.9"})
    problem(answer, 429, "Throttled")
    assert 0 < int(answer["Retry-After"]) <= 60


@pytest.mark.django_db(transaction=True)
def test_a_limit_of_ten_is_ten_however_many_ask_at_once(ada, monkeypatch):
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", {"user": "10/hour"})
    barrier = Barrier(40)

    def go(_):
        barrier.wait()
        try:
            return ada.get(ORDERS)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(40) as pool:
        told = list(pool.map(go, range(40)))
    late = [answer for answer in told if answer.status_code != 200]
    assert len(late) == 30
    for answer in late:
        problem(answer, 429, "Throttled")
        assert 0 < int(answer["Retry-After"]) <= 3600


def test_without_a_redis_each_process_counts_for_itself(ada, monkeypatch, caplog):
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", {"user": "2/min"})
    monkeypatch.setattr(throttling, "_redis", lambda: redis.Redis(port=1, socket_connect_timeout=0.1))
    monkeypatch.setattr(throttling, "_silent_until", 0.0)
    assert [ada.get(ORDERS).status_code for _ in range(3)] == [200, 200, 429]
    assert caplog.text.count("counted by each process for itself") == 1


def test_a_user_may_be_throttled(ada, grace, monkeypatch):
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", {"user": "1/min"})
    assert ada.get(ORDERS).status_code == 200
    problem(ada.get(ORDERS), 429, "Throttled")
    assert grace.get(ORDERS).status_code == 200
