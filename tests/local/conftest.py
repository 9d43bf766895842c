"""Services for each test: the settings that the session's plugin has exported are removed."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tools.devserver.environment import (
    BROKER,
    DATABASE,
    KAFKA,
    PARTNER,
    PARTNER_DATABASE,
    RABBITMQ,
    REDIS,
)

ROOT = Path(__file__).resolve().parents[2]
MAIN = """
import os, sys
from tools.devserver import __main__, execute, processes
{after}
sys.exit(__main__.main())
"""


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch):
    # BROKERS names what `make run` starts besides; for tests it chooses the long form.
    for name in (DATABASE, REDIS, BROKER, KAFKA, RABBITMQ, PARTNER, PARTNER_DATABASE, "BROKERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def passable():
    """A folder that other users can traverse, unlike pytest's own."""
    with TemporaryDirectory() as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.fixture
def data(passable):
    """A data folder; after the test, no process may run there."""
    yield passable / "data"
    assert busy(passable) == []


@pytest.fixture
def local():
    """Run python -m tools.devserver in the background; `after` is a statement that runs first.
    Killed after the test."""
    started = []

    def start(*arguments, after="pass"):
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN.format(after=after), *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def busy(path: Path) -> list[str]:
    """The command lines of the processes that name the folder or run in it."""
    return [
        " ".join(process.info["cmdline"])
        for process in _processes()
        if _concerns(process, str(path))
    ]


def _processes() -> list[psutil.Process]:
    return [
        process for process in psutil.process_iter(["cmdline", "cwd"]) if process.info["cmdline"]
    ]


def _concerns(process: psutil.Process, path: str) -> bool:
    return path in " ".join(process.info["cmdline"]) or (process.info["cwd"] or "").startswith(path)
