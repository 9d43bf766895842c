"""A pytest plugin: PostgreSQL and Redis for the session, started before Django reads its settings.

With POOLER=old or POOLER=new all of it is behind a PgBouncer, without or with prepared statements.
"""

import atexit
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tools.devserver import environment, folder, services
from tools.devserver.errors import LauncherError

if TYPE_CHECKING:
    from tools.verification.bouncer import Bouncer


# The PgBouncer in front of the server, if there is one.
poolers: list["Bouncer"] = []


def _start() -> None:
    stack, session = ExitStack(), os.getpid()
    # Sooner than any of it starts, so that an interruption finds the way out; a forked test has no
    # say in it.
    atexit.register(lambda: stack.close() if os.getpid() == session else None)
    path = stack.enter_context(folder.throwaway())
    settings = stack.enter_context(services.started(path)).settings
    if form := environment.given("POOLER"):
        settings |= _behind_a_pooler(path, settings[environment.DATABASE], form, stack)
    environment.export(settings)


def _behind_a_pooler(path: Path, server: str, form: str, stack: ExitStack) -> dict[str, str]:
    """form: "new" for a PgBouncer that keeps prepared statements, else "old"."""
    from tools.verification import bouncer

    bouncer.bound_waits(server)
    form = bouncer.NEW if form == bouncer.NEW else bouncer.OLD
    poolers.append(stack.enter_context(bouncer.started(path, server, form)))
    return poolers[0].settings


def _apart(worker: int) -> dict[str, str]:
    """Processes that share the tests between them share a Redis, but no key in it, and RabbitMQ,
    but no queue.

    pytest-django parts the database.
    """
    ours = {environment.REDIS: 2 + 2 * worker, environment.BROKER: 3 + 2 * worker}
    urls = {name: urlsplit(url) for name in ours if (url := environment.given(name))}
    redis = {
        name: url._replace(path=f"/{ours[name]}").geturl()
        for name, url in urls.items()
        if url.scheme == "redis"
    }
    return redis | {"CELERY_QUEUE": f"test-gw{worker}"}


def _missing() -> list[str]:
    return [
        name for name in (environment.DATABASE, environment.REDIS) if not environment.given(name)
    ]


BY_DEFAULT = {environment.SECRET: "only-for-tests", **environment.STAND_INS}
environment.export(
    {name: value for name, value in BY_DEFAULT.items() if not environment.given(name)}
)
if _missing():
    try:
        _start()
    except (LauncherError, OSError) as error:
        sys.exit(f"tests.services: {error}")
if worker := environment.given("PYTEST_XDIST_WORKER"):
    environment.export(_apart(int(worker.removeprefix("gw"))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Told from process to process in UTF-8, which has no word for the surrogates that some tests
    log."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report
