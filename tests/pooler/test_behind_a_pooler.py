"""The whole shop behind a PgBouncer: its processes keep their names, and a crash of PostgreSQL
loses nothing."""

import json
import os
import subprocess
import sys

import psycopg
import pytest

from tests.eventstore.concurrently import until, url_of_the_test
from tests.workers.worker import Worker
from tools.devserver import folder, processes
from tools.devserver.programs import ROOT
from tools.verification import bouncer
from tools.verification.bouncer import NEW, OLD

pytestmark = [pytest.mark.slow]
NAMES = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()"
# At most one fault every two seconds, so that orders are acknowledged between two crashes.
SHORT = (
    "--seed=7",
    "--seconds=14",
    "--rate=20",
    "--gap=2",
    "--controls",
    "--only",
    "kill_postgres",
    "pause_subscription",
)


@pytest.mark.parametrize("form", [OLD, NEW])
def test_no_acknowledged_order_is_lost_when_postgresql_is_killed_behind_it(form, tmp_path):
    if why := bouncer.missing(form):
        pytest.skip(why)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tools.verification.chaos",
        f"--reports={tmp_path}",
        f"--pooler={form}",
        *SHORT,
    ]
    chaos = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
    figures = json.loads(chaos.stdout.splitlines()[-1])
    promised = ("lost", "doubled", "oversold", "unfinished", "money_mismatch")
    assert {name: figures[name] for name in promised} == dict.fromkeys(promised, 0)
    assert figures["orders"] > 150


@pytest.mark.worker
def test_a_worker_is_named_through_it(pooled, tmp_path):
    worker = Worker(tmp_path)
    try:
        worker.start().until_it_is_ready()
        with psycopg.connect(pooled.server, autocommit=True) as direct:
            until(lambda: ("worker",) in direct.execute(NAMES).fetchall(), seconds=30)
    finally:
        worker.kill()


@pytest.mark.skipif(bool(bouncer.missing(OLD)), reason=bouncer.missing(OLD))
def test_one_whose_run_was_killed_is_reaped_by_the_next(transactional_db, tmp_path):
    starting = f"""
import sys
from pathlib import Path
from time import sleep
from tools.devserver import folder
from tools.verification import bouncer
with folder.claimed(Path({str(tmp_path / "held")!r})) as path:
    print(bouncer.start(path, {url_of_the_test()!r}).running.process.pid, flush=True)
    sleep(60)
"""
    run = subprocess.Popen(
        [sys.executable, "-c", starting], cwd=ROOT, stdout=subprocess.PIPE, env=os.environ
    )
    pid = int(run.stdout.readline())
    run.kill()
    run.wait()
    with folder.claimed(tmp_path / "held") as path:
        assert processes.reap(folder.pids(path)) == []
    until(lambda: not os.path.exists(f"/proc/{pid}") or _is_a_zombie(pid), seconds=10)


def _is_a_zombie(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "Z"
