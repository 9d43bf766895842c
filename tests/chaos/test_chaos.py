"""The short form of `make chaos`: less than a minute of load and faults, then the checker."""

import json
import subprocess
import sys

import pytest

# `--controls` without a value skips the controls; `make chaos` runs them.
SHORT = ("--seed=11", "--seconds=45", "--rate=5", "--gap=1.5", "--controls")


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_happens_twice_whatever_dies(tmp_path):
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tools.verification.chaos",
        f"--reports={tmp_path}",
        *SHORT,
    ]
    chaos = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
    figures = json.loads(chaos.stdout.splitlines()[-1])
    promised = ("lost", "doubled", "oversold", "unfinished", "money_mismatch")
    assert {name: figures[name] for name in promised} == dict.fromkeys(promised, 0)
    assert figures["orders"] > 100
    assert figures["faults"] >= 15
    assert (tmp_path / "chaos-11.md").exists()
