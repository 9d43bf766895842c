"""Command lines of the platform's programs: web, live, worker, Celery beat, relay, reader, and
manage.py commands."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tools.devserver import account
from tools.devserver.ports import HOST
from tools.devserver.processes import Program

ROOT = Path(__file__).resolve().parents[2]
# Without Celery's long warning about root: this is a development machine.
CELERY = (
    "-W",
    "ignore:You're running the worker with superuser",
    "-m",
    "celery",
    "--quiet",
    "--app=config",
)


def manage(name: str, *arguments: str, environment: Mapping[str, str]) -> Program:
    return _python(name, "manage.py", *arguments, environment=environment)


def partner(name: str, *arguments: str, environment: Mapping[str, str]) -> Program:
    return _python(name, "examples/loyalty/manage.py", *arguments, environment=environment)


def demo(url: str, live: str, environment: Mapping[str, str]) -> Program:
    return replace(
        manage("demo", "demo", "--url", url, "--live", live, environment=environment),
        for_users=True,
    )


def web(port: int, environment: Mapping[str, str]) -> Program:
    workers = ("--config=python:config.web", "--workers=2", "--threads=8")
    options = (f"--bind={HOST}:{port}", "--no-control-socket", "--log-level=warning")
    return _python(
        "web",
        "-m",
        "gunicorn",
        "config.wsgi:application",
        *workers,
        *options,
        environment=environment,
    )


def live(port: int, environment: Mapping[str, str]) -> Program:
    return _python(
        "live", "-m", "config.live", f"--host={HOST}", f"--port={port}", environment=environment
    )


def worker(environment: Mapping[str, str]) -> Program:
    options = ("--concurrency=2", "--without-gossip", "--without-mingle", "--loglevel=INFO")
    return _python("worker", *CELERY, "worker", *options, environment=environment)


def reader(environment: Mapping[str, str]) -> Program:
    return manage("reader", "consume", environment=environment)


def beat(folder: Path, environment: Mapping[str, str]) -> Program:
    options = (f"--schedule={folder / 'beat-schedule'}", "--pidfile=", "--loglevel=WARNING")
    return _python("beat", *CELERY, "beat", *options, environment=environment)


def relay(environment: Mapping[str, str]) -> Program:
    return manage("relay", "relay", environment=environment)


def _python(name: str, *arguments: str, environment: Mapping[str, str]) -> Program:
    return Program(
        name=name,
        command=(sys.executable, *arguments),
        environment=environment,
        folder=ROOT,
        account=account.ours(),
    )
