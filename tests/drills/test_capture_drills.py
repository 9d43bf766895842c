"""The short form of `CDC=1 make drills`: a failover while everything leaves by Debezium."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import NO_BROKER
from tools.verification.chaos.broker_checks import PROMISED
from tools.verification.drills import capture

SHORT = ("--seed=6", "--seconds=24", "--rate=5")
only_long = pytest.mark.skipif(os.environ.get("BROKERS") != "long", reason="runs with BROKERS=long")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "drill",
    ["cdc-failover-with-slot", pytest.param("cdc-failover-without-slot", marks=only_long)],
)
def test_a_failover_loses_no_message_or_the_lost_slot_is_refused_by_name(drill):
    if absent := capture.missing():
        pytest.skip(f"{NO_BROKER}{absent}")
    command = [sys.executable, "-W", "ignore", "-m", "tools.verification.drills", "--cdc"]
    done = subprocess.run(
        [*command, f"--cdc-drills={drill}", *SHORT], capture_output=True, text=True, timeout=880
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (figures,) = json.loads(done.stdout.splitlines()[-1])["drills"]
    assert {name: figures[name] for name in ("lost", *PROMISED)} == dict.fromkeys(
        ("lost", *PROMISED), 0
    )
    assert figures["before"] > 0
    assert figures["refused"] == (2 if drill == "cdc-failover-without-slot" else 0)
