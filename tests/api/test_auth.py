"""Log in, bear the token, log out."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from knox.models import AuthToken

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
