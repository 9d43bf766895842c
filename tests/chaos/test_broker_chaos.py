"""The short form of `BROKERS=1 make chaos`: faults of Kafka, RabbitMQ, relays and consumers."""

import json
import subprocess
import sys

import pytest

from tools.verification.chaos import brokers
from tools.verification.chaos.broker_checks import PROMISED

FAULTS = ("kill_relay", "kill_consumer", "kill_rabbitmq", "reset_kafka", "kill_kafka")
SHORT = ("--seed=7", "--seconds=40", "--rate=3", "--gap=5", "--controls", "--only", *FAULTS)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_each_event_is_in_both_brokers_and_has_its_effect_once_whatever_dies(tmp_path):
    if absent := brokers.missing():
        pytest.skip(absent)
    command = [sys.executable, "-W", "ignore", "-m", "tools.verification.chaos", "--brokers"]
    chaos = subprocess.run(
        [*command, f"--reports={tmp_path}", *SHORT], capture_output=True, text=True, timeout=400
    )
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
    figures = json.loads(chaos.stdout.splitlines()[-1])
    promised = ("lost", "doubled", "oversold", "unfinished", "money_mismatch", *PROMISED)
    assert {name: figures[name] for name in promised} == dict.fromkeys(promised, 0)
    assert figures["orders"] > 60
    assert figures["faults"] >= 4
