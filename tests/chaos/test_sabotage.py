"""A worker with a deliberate mistake starts: one that cannot start would prove nothing."""

import os
import subprocess
import sys

import pytest

from tools.verification.chaos.sabotage import MISTAKES


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_worker_with_a_mistake_starts(mistake):
    """With the environment of `make chaos`, which names no settings module."""
    worker = [sys.executable, "-m", "tools.verification.chaos.sabotage", mistake]
    started = subprocess.run(
        [*worker, "-m", "celery", "--app=config", "--version"],
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
    )
    assert started.returncode == 0, started.stderr
