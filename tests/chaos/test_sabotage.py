"""A process with a deliberate mistake starts: one that cannot start would prove nothing."""

import os
import subprocess
import sys

import pytest

from tools.verification.chaos.sabotage import MISTAKES


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_worker_with_a_mistake_starts(mistake):
    started(mistake, "-m", "celery", "--app=config", "--version")


def test_a_consumer_with_a_mistake_starts():
    started("offset_before_effect", "manage.py", "consume", "--help")


def started(mistake, *program):
    """With the environment of `make chaos`, which names no settings module."""
    command = [sys.executable, "-m", "tools.verification.chaos.sabotage", mistake]
    ended = subprocess.run(
        [*command, *program],
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
