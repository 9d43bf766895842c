"""Generated requests, valid and invalid by the OpenAPI document, as several users: nothing may
break.

All checks and phases of schemathesis run; schemathesis.toml and hooks.py list the exceptions. `make
fuzz` takes FUZZ_SECONDS for each of five users. `make test` sends a fixed number of requests, as a
customer in two phases and as an admin in two, however long it takes: on a busy machine it must not
test less.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from shutil import copy

import httpx
import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from knox.models import AuthToken

from access.authorization import ADMIN, FINANCE, OPERATIONS, SUPPORT
from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import ListProduct
from tools.devserver import ports, programs

from .report import PHASES, missing, read_run

ROOT = Path(__file__).resolve().parents[2]
SECONDS = os.environ.get("FUZZ_SECONDS")
BOUND = ("--max-time", SECONDS) if SECONDS else ("--max-examples", "5")
PEOPLE = {
    "ada": None,
    "grace": None,
    "alma": ADMIN,
    "helen": SUPPORT,
    "otto": OPERATIONS,
    "flo": FINANCE,
}
# For how many operations at least one request must succeed: a customer may not call most of them,
# an admin all.
SUCCEED = {"ada": 5, "alma": 12, "helen": 8, "otto": 12, "flo": 8}
SHORT = {"ada": ("fuzzing", "stateful"), "alma": ("examples", "coverage")}
LONG = dict.fromkeys(SUCCEED, PHASES)
ADDRESS = {
    "name": "Ada",
    "street": "Square 1",
    "city": "London",
    "postcode": "SW1Y",
    "country": "GB",
}
ORDER = {
    "items": [{"sku": "TEA-EARL-GREY", "quantity": 2}],
    "address": ADDRESS,
    "payment_method": "tok_visa",
}
BACK = {"lines": [{"number": 1, "quantity": 1}], "reason": "too small"}


@pytest.fixture
def url(transactional_db):
    """Fresh processes: those of other tests have cached the states of streams that were deleted
    meanwhile, which never happens in production."""
    database, _, _ = os.environ["DATABASE_URL"].partition("?")
    settings = {
        "DATABASE_URL": f"{database.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}",
        "EVENTSTORE_WAKE_WORKERS": "0",
        "LOG_LEVEL": "ERROR",
        "THROTTLE_LOGIN": "",
        # So that responses have these headers, and no limit is exceeded.
        "THROTTLE_USER": "1000000/min",
        "QUERY_LONGEST_WAIT": "0.1",
        # So that signatures are checked; the generated ones are never valid.
        "STRIPE_WEBHOOK_SECRETS": "whsec_of_nobody",
        "CARRIER_WEBHOOK_SECRETS": "whsec_b2Ygbm9ib2R5LCBhbmQgb2Ygbm9ib2R5IGVsc2U=",
    }
    port = ports.free()
    worker = (sys.executable, "manage.py", "work")
    with running(*programs.web(port, {}).command, **settings), running(*worker, **settings):
        _wait_for(port)
        yield f"http://{ports.HOST}:{port}"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "phases"), (LONG if SECONDS else SHORT).items())
def test_whoever_asks_whatever_gets_an_answer_as_described(url, name, phases, tmp_path):
    tokens = {each: _token(each) for each in PEOPLE}
    _fill(url, tokens, tmp_path)
    run = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "schemathesis.cli",
                "run",
                f"{url}/api/openapi.json",
                "--auth-wfc-user",
                name,
            ),
            *("--phases", ",".join(phases), *BOUND, "--seed", "1", "--no-color"),
            *("--report", "ndjson", "--report-ndjson-path", str(tmp_path / "report")),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    found = read_run(tmp_path / "report")
    print(json.dumps({"asked_as": name} | found.summary()))
    # Two customers, so that each tries to read the objects of the other.
    askers = ("ada", "grace") if name == "ada" else (name,)
    lacking = missing(
        found, described=_described(url), succeeded=SUCCEED[name], phases=phases, askers=askers
    )
    assert lacking == [], run.stdout[-4000:]


def _fill(url, tokens, folder):
    """A small shop with orders, a return and a deferred command; and the files that
    schemathesis.toml names."""
    bus.dispatch(ListProduct("TEA-EARL-GREY", "Tea", Money(1780, "EUR")))
    bus.dispatch(ReceiveStock("TEA-EARL-GREY", 10_000))

    def post(name, path, body, **headers):
        headers |= {"Authorization": f"Bearer {tokens[name]}"}
        return httpx.post(
            f"{url}/api/commands/{path}", json=body, headers=headers, timeout=30
        ).json()

    orders = [post(name, "orders/", ORDER)["order_id"] for name in ("ada", "grace", "ada", "ada")]
    left = post("ada", "orders/", ORDER, Prefer="respond-async")["command_id"]
    drain()
    for order_id in (orders[0], orders[2]):
        post("ada", f"orders/{order_id}/returns/", BACK)
    drain()
    people = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in tokens.items()
    ]
    (folder / "people.json").write_text(json.dumps({"auth": people}))
    (folder / "commands.txt").write_text(f'"{left}"')
    copy(ROOT / "tests/fuzz/schemathesis.toml", folder)


def _described(url):
    paths = httpx.get(f"{url}/api/openapi.json", timeout=30).json()["paths"]
    return {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if "logout" not in path
    }


def _token(name):
    user = User.objects.create(username=name)
    if PEOPLE[name]:
        user.groups.add(Group.objects.get_or_create(name=PEOPLE[name])[0])
    return AuthToken.objects.create(user)[1]


@contextmanager
def running(*command, **settings):
    process = subprocess.Popen(command, env=os.environ | settings, cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port):
    until = time.monotonic() + 60
    while True:
        try:
            return HTTPConnection(ports.HOST, port).connect()
        except OSError:
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)
