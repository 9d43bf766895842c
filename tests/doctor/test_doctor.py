"""The doctor finds each fault and nothing else; its exit code is for monitoring."""

import ast
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from eventstore.delivery import heartbeats
from eventstore.guarantees import server, tables
from eventstore.operations import control, doctor
from eventstore.operations.doctor import CRITICAL, WARNING, Finding
from eventstore.outbox import cursors
from tools.verification.doctor import faults


@pytest.fixture
def shop(transactional_db):
    """Healthy: there are heartbeats of a worker and of Celery beat."""
    cursors.ensure_cursors()
    faults.send_heartbeats()
    yield
    heartbeats.forget_own()


def output(*arguments):
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", *arguments, stdout=out)
    return out.getvalue(), ended.value.code


def test_the_selftest_finds_every_fault_and_nothing_else():
    """On a server of its own: some faults change how much WAL the whole server keeps."""
    ours = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
    run = ["-m", "tools.devserver", "exec", "--", sys.executable, "-W", "ignore"]
    ran = subprocess.run(
        [sys.executable, *run, "-m", "tools.verification.doctor"],
        env={name: value for name, value in os.environ.items() if name not in ours},
        capture_output=True,
        text=True,
        timeout=280,
    )
    counts = json.loads(ran.stdout.splitlines()[-1])
    assert counts == {
        "faults": len(faults.FAULTS),
        "found": len(faults.FAULTS),
        "false_alarms": 0,
    }, ran.stdout
    assert len(faults.FAULTS) > 30
    assert ran.returncode == 0, ran.stderr


def test_each_finding_has_a_fault_that_provokes_it():
    """A check that is found in two ways has two faults."""
    ways = Counter(
        keyword.value.value
        for module in Path(doctor.__file__).parent.glob("*.py")
        for call in ast.walk(ast.parse(module.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding"
        for keyword in call.keywords
        if keyword.arg == "check" and isinstance(keyword.value, ast.Constant)
    )
    ways |= Counter({each.finding for each in (*server.GUARANTEES, *tables.GUARANTEES)})
    provoked = Counter(name.partition("/")[0] for name in faults.FAULTS)
    assert len(ways) > 50
    assert not ways - provoked, "add faults to tools/verification/doctor/faults.py"
    assert set(provoked) <= set(ways)


def test_a_healthy_shop_has_no_findings(shop):
    assert output() == ("Healthy: nothing is stuck, nothing is unsafe.\n", 0)
    assert output("--json") == ("[]\n", 0)


def test_a_warning_is_one_and_names_the_command_that_mends_it(shop):
    control.pause("orders.details", who="ada", reason="to look at it")
    text, code = output()
    assert code == 1
    assert "orders.details is paused at position 0" in text
    assert "ada (to look at it)" in text
    assert "manage.py subscriptions resume orders.details" in text


def test_what_is_critical_is_two_and_comes_first(shop):
    control.pause("orders.details", who="ada")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM eventstore_heartbeat WHERE kind = 'worker'")
    found, code = output("--json")
    assert code == 2
    assert [each["check"] for each in json.loads(found)] == ["no-worker", "paused-subscription"]
    assert set(json.loads(found)[0]) == set(Finding._fields)


@pytest.mark.parametrize(
    ("severities", "code"), [([], 0), ([WARNING], 1), ([WARNING, CRITICAL], 2), ([CRITICAL], 2)]
)
def test_exit_codes(severities, code):
    assert doctor.exit_code([Finding("x", each, "", "", "", "") for each in severities]) == code


def test_an_appender_that_stops_is_named_with_its_backend_and_query(shop):
    with faults.open_transaction(faults.APPEND, faults.event_to_append("doctor.looked")):
        found = doctor.examine(doctor.Limits(fence=faults.SOON))
    (fence,) = [each for each in found if each.check == "fence"]
    assert "eventstore_append" in fence.culprit
    assert fence.mend.startswith("SELECT pg_terminate_backend(")
    assert "idle in transaction" in fence.what
