"""The short form of `make drills`: one asynchronous failover, then the checker and the
provider's book."""

import json
import subprocess
import sys

import pytest

# A shorter and lighter load than in `make drills`, for two shared cores.
SHORT = (
    "--seed=4",
    "--seconds=10",
    "--rate=8",
    "--drills",
    "asynchronous-failover",
    "--no-control",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    reports = tmp_path_factory.mktemp("reports")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tools.verification.drills",
        f"--reports={reports}",
        *SHORT,
    ]
    drill = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert drill.stdout, drill.stderr
    print(drill.stdout)
    return json.loads(drill.stdout.splitlines()[-1])["drills"][0]


def test_something_was_lost_or_it_proves_nothing(figures):
    assert figures["orders"] > 50
    assert figures["lost"] > 0


@pytest.mark.parametrize(
    "what", ["charged_twice", "stuck", "doubled", "oversold", "money_mismatch", "wrong"]
)
def test_after_a_failover_nothing_is_done_twice_and_nothing_hangs(figures, what):
    assert figures[what] == 0
    assert figures["settled"]


def test_what_is_lost_is_named(figures):
    assert figures["unnamed"] == 0
