"""Password guessing: one limit for API and console, by address and by account; hashing takes no
time from other requests."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from access import hashing

pytestmark = pytest.mark.django_db

API, CONSOLE, CHANGE = "/api/auth/login/", "/admin/login/", "/admin/password_change/"


@pytest.fixture
def rates(monkeypatch):
    return lambda **rates: monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", rates)


@pytest.fixture
def name():
    """An account of this test only: the counts are in Redis."""
    name = f"guessed-{uuid4().hex}"
    User.objects.create_superuser(name, password="right-1")
    return name


def guess(where, name, address, password="wrong", **headers):
    data = {"username": name, "password": password}
    content = {"content_type": "application/json"} if where == API else {}
    return Client().post(where, data, REMOTE_ADDR=address, **content, headers=headers)


def address():
    return f"10.{uuid4().int % 250}.{uuid4().int % 250}.{uuid4().int % 250}"


@pytest.mark.parametrize(("first", "then"), [(API, CONSOLE), (CONSOLE, API), (CONSOLE, CONSOLE)])
def test_guesses_at_an_account_from_many_addresses_close_it_everywhere(rates, name, first, then):
    rates(account="5/min")
    for _ in range(5):
        assert guess(first, name, address()).status_code != 429
    late = guess(then, name, address(), password="right-1")
    assert late.status_code == 429
    assert 0 < int(late["Retry-After"]) <= 60


@pytest.mark.parametrize(("first", "then"), [(API, CONSOLE), (CONSOLE, API)])
def test_guesses_from_an_address_close_all_accounts_to_it_alone(rates, name, first, then):
    rates(login="5/min")
    here = address()
    for number in range(5):
        assert guess(first, f"nobody-{number}", here).status_code != 429
    assert guess(then, name, here, password="right-1").status_code == 429
    assert guess(then, name, address(), password="right-1").status_code in (200, 302)


def test_other_spellings_of_a_name_are_the_same_account(rates, name):
    rates(account="2/min")
    assert guess(API, name.upper(), address()).status_code == 401
    assert guess(CONSOLE, name.replace("g", "ｇ"), address()).status_code == 200
    assert guess(API, name, address()).status_code == 429


def test_the_console_answers_with_a_page_and_the_api_with_a_problem(rates, name):
    rates(account="1/min")
    guess(API, name, address())
    page, problem = guess(CONSOLE, name, address()), guess(API, name, address())
    assert page["Content-Type"].startswith("text/html")
    assert "Too many login attempts" in page.content.decode()
    assert problem["Content-Type"] == "application/problem+json"
    assert problem.json()["violated-policies"] == ["account"]


def test_behind_proxies_the_clients_own_address_counts(rates, name, monkeypatch):
    rates(login="1/min")
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1)
    client, proxy = address(), address()
    assert guess(CONSOLE, name, proxy, **{"X-Forwarded-For": client}).status_code == 200
    assert (
        guess(API, name, proxy, **{"X-Forwarded-For": f"{address()}, {client}"}).status_code == 429
    )
    assert guess(API, name, proxy, **{"X-Forwarded-For": address()}).status_code == 401


def test_the_old_password_is_not_guessed_by_who_found_an_open_session(rates, name):
    rates(account="3/min")
    client = Client()
    client.force_login(User.objects.get(username=name))
    for _ in range(3):
        assert client.post(CHANGE, {"old_password": "wrong"}).status_code == 200
    assert client.post(CHANGE, {"old_password": "right-1"}).status_code == 429


@pytest.fixture
def hashes(monkeypatch, settings):
    """How many hashes run at once, and how many ran; each takes until it is released."""
    settings.PASSWORD_HASHERS = ["access.hashing.OneAtATime"]
    seen, go = {"now": 0, "most": 0, "all": 0}, Event()
    go.set()

    def encode(self, password, salt, iterations=None):
        seen["now"] += 1
        seen["all"] += 1
        seen["most"] = max(seen["most"], seen["now"])
        go.wait(20)
        seen["now"] -= 1
        return f"pbkdf2_sha256$1${salt}$x"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", encode)
    return seen, go


@pytest.mark.parametrize("where", [API, CONSOLE])
@pytest.mark.parametrize("whose", ["known", "unknown", "barred"])
def test_each_name_costs_one_hash(rates, hashes, name, where, whose):
    rates()
    seen, _ = hashes
    # The iterations of today's hasher: with fewer, Django adds the missing ones.
    stored = f"pbkdf2_sha256${PBKDF2PasswordHasher.iterations}$salt$y"
    User.objects.filter(username=name).update(is_active=whose != "barred", password=stored)
    seen["all"] = 0
    guess(where, name if whose != "unknown" else "nobody", address())
    assert seen["all"] == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_hashed_two_wait_and_the_others_are_told_to_come_again(
    rates, hashes
):
    rates()
    seen, go = hashes
    go.clear()
    barrier, answers = Barrier(24), []

    def ask(number):
        try:
            barrier.wait()
            answers.append(guess(API if number % 2 else CONSOLE, f"nobody-{number}", address()))
            if len(answers) == 24 - 1 - hashing.MOST_WAITING:
                go.set()  # all others have had their answer while the first hash is still under way
        finally:
            connections.close_all()

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(ask, range(24)))
    refused = [each for each in answers if each.status_code == 503]
    assert (len(refused), seen["most"]) == (24 - 1 - hashing.MOST_WAITING, 1)
    assert all(each["Retry-After"] for each in refused)
    assert {each["Content-Type"].partition(";")[0] for each in refused} == {
        "text/html",
        "application/problem+json",
    }


def test_hashing_gives_way_to_requests(settings):
    settings.PASSWORD_HASHERS = ["access.hashing.OneAtATime"]
    found = []
    hashing._thread().submit(lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0))).result()
    other = Thread(target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0)))
    other.start()
    other.join()
    assert found[0] == min(19, found[1] + hashing.NICE)
