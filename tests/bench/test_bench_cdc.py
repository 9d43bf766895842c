"""The comparison of the relay with Debezium: what it takes for different, and its short form."""

import json
import subprocess
import sys

import pytest

from bench.cdc import pairs_of
from tests.conftest import NO_BROKER
from tools.devserver import connect
from tools.devserver.environment import BROKER, DATABASE, REDIS

KEYS = {
    "relay_per_s",
    "debezium_per_s",
    "relay_p50_ms",
    "debezium_p50_ms",
    "relay_cpu_s",
    "debezium_cpu_s",
    "compared",
    "different",
}
SENT = [(number % 2, b"key", b"%d" % number, (("ce_id", b"%d" % number),)) for number in range(6)]
LATER = (0, b"key", b"later", ())


@pytest.mark.parametrize(
    ("again", "different"),
    [
        ([*SENT[::2], *SENT[1::2], LATER], 0),
        ([*SENT[:-1], (1, b"key", b"altered", SENT[-1][3])], 1),
        ([*SENT[:-1], (*SENT[-1][:3], ())], 1),
        (SENT[:-1], 1),
        (SENT[2:], 2 * 3),
        ([SENT[2], SENT[1], SENT[0], *SENT[3:]], 2),
        ([SENT[0], *SENT], 2),
    ],
    ids=["same", "value", "headers", "missing at the end", "missing", "swapped", "repeated"],
)
def test_what_differs_in_a_partition_is_counted(again, different):
    pairs = list(pairs_of(SENT, again))
    assert len(pairs) == len(SENT)
    assert sum(ours != its for ours, its in pairs) == different


def test_a_message_in_another_partition_is_different():
    moved = [(2, *each[1:]) if each is SENT[0] else each for each in SENT]
    assert any(ours != its for ours, its in pairs_of(SENT, moved))


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_last_line_holds_every_figure_and_no_message_differs(monkeypatch):
    if absent := connect.missing():
        pytest.skip(f"{NO_BROKER}Kafka Connect needs {absent}, which is missing")
    for name in (DATABASE, REDIS, BROKER):
        monkeypatch.delenv(name, raising=False)
    run = [sys.executable, "-m", "tools.devserver", "exec", "--"]
    bench = [sys.executable, "-W", "ignore", "-m", "bench.cdc", "--orders=100", "--lone=3"]
    done = subprocess.run([*run, *bench], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures) == KEYS
    assert (figures["compared"], figures["different"]) == (2 * 103, 0)
    assert all(figures[name] > 0 for name in KEYS - {"different"})
