"""The short form of `CDC=1 make chaos`: Kafka Connect and PostgreSQL are killed, and a publication
is handed over and back, while orders are placed."""

import json
import subprocess
import sys

import pytest

from tests.conftest import NO_BROKER
from tools.verification.chaos import brokers, capture
from tools.verification.chaos.broker_checks import CAPTURED, PROMISED

FAULTS = ("kill_connect", "kill_postgres", "hand_over")
SHORT = ("--seed=12", "--seconds=40", "--rate=3", "--gap=14", "--controls", "--only", *FAULTS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_event_leaves_by_debezium_and_has_its_effect_once_whatever_dies(tmp_path):
    if absent := brokers.missing() or capture.missing():
        pytest.skip(f"{NO_BROKER}{absent}")
    command = [sys.executable, "-W", "ignore", "-m", "tools.verification.chaos", "--cdc"]
    chaos = subprocess.run(
        [*command, f"--reports={tmp_path}", *SHORT], capture_output=True, text=True, timeout=880
    )
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
    figures = json.loads(chaos.stdout.splitlines()[-1])
    promised = ("lost", "doubled", "oversold", "unfinished", "money_mismatch", *PROMISED)
    assert {name: figures[name] for name in promised} == dict.fromkeys(promised, 0)
    assert figures["orders"] > 60
    assert figures["faults"] >= 2
    assert figures[CAPTURED] > 100
