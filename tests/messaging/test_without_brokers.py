"""What did not run for want of a broker is named at the end of the tests."""

import os
import subprocess
import sys

HERE = "tests/messaging"
KAFKA = (
    f"{HERE}/test_kafka.py::test_a_missing_topic_is_named_and_nothing_is_passed_until_it_is_there"
)
RABBITMQ = f"{HERE}/test_rabbitmq.py::test_events_arrive_in_order_with_all_properties"
UNKNOWN_PLACES = """
from pathlib import Path
from tools.devserver import rabbitmq
rabbitmq.SERVERS = (Path("/not-there"),)
"""


def test_tests_that_need_a_missing_broker_are_named(tmp_path):
    """Without Java in the PATH, and without the folder of RabbitMQ's package."""
    (tmp_path / "without_rabbitmq.py").write_text(UNKNOWN_PLACES)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "without_rabbitmq", KAFKA, RABBITMQ],
        env=os.environ | {"PATH": "", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    _, _, summary = done.stdout.partition("not run for want of a broker")
    lines = [line.strip() for line in summary.splitlines()]
    assert "1 not run: kafka needs Java 17, which is missing." in lines
    package = "RabbitMQ (Debian: apt-get install rabbitmq-server)"
    assert f"1 not run: rabbitmq needs {package}, which is missing." in lines
    assert {KAFKA, RABBITMQ} <= set(lines)
