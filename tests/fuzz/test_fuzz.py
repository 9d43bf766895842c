"""Everything that the API's description allows, and what it forbids, asked by several people; nothing may break.

`make test` asks shortly, as a customer; `make fuzz` for FUZZ_SECONDS as each of three.
"""

import json
import os
import subprocess
import sys
import time
from http.client import HTTPConnection

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from knox.models import AuthToken

from config.local import ports, programs
from eventstore import bus
from eventstore.api.roles import OPERATIONS, SUPPORT
from eventstore.money import Money
from inventory.commands import ReceiveStock
from orders.commands import ListProduct

SECONDS = os.environ.get("FUZZ_SECONDS", "30")
ROLES = ("customer", SUPPORT, OPERATIONS) if "FUZZ_SECONDS" in os.environ else ("customer",)
# A token that was taken back, and one that was never given, are tested by name in tests/api.
CHECKS = (
    "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance,"
    "unsupported_method,ignored_auth"
)
# Logging out would end the run, and providers have no secret here by which to sign.
LEFT_OUT = ("/api/auth/logout/", "/api/webhooks/payments/stripe/", "/api/webhooks/shipping/")


@pytest.fixture(scope="module")
def url(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        database, _, _ = os.environ["DATABASE_URL"].partition("?")
        settings = {
            "DATABASE_URL": f"{database.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}",
            "EVENTSTORE_NUDGE": "0",
            "LOG_LEVEL": "ERROR",
            "THROTTLE_LOGIN": "",
        }
        port = ports.free()
        server = subprocess.Popen(programs.web(port, {}).command, env=os.environ | settings)
        try:
            _wait_for(port)
            yield f"http://{ports.HOST}:{port}"
        finally:
            server.terminate()
            server.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_whoever_asks_whatever_gets_an_answer_as_described(transactional_db, url, role, tmp_path):
    bus.dispatch(ListProduct("TEA-EARL-GREY", "Tea", Money(1780, "EUR")))
    bus.dispatch(ReceiveStock("TEA-EARL-GREY", 1000))
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/openapi.json", "--checks", CHECKS),
            *("--header", f"Authorization: Bearer {_token(role)}", "--max-time", SECONDS, "--seed", "1"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure", "--no-color"),
            *("--report", "ndjson", "--report-ndjson-path", str(tmp_path / "report")),
            *(word for path in LEFT_OUT for word in ("--exclude-path", path)),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert _asked(tmp_path / "report") > 100, f"nothing was tested:\n{run.stdout[-2000:]}"


def _token(role):
    user = User.objects.create(username=role)
    if role != "customer":
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return AuthToken.objects.create(user)[1]


def _asked(report):
    """How many requests were answered."""
    return sum(line.count('"status_code"') for line in report.read_text().splitlines() if json.loads(line))


def _wait_for(port):
    until = time.monotonic() + 60
    while True:
        try:
            return HTTPConnection(ports.HOST, port).connect()
        except OSError:
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)
