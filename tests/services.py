"""A pytest plugin: PostgreSQL and Redis for the session, started before Django reads its settings."""

import atexit
import os
import sys
from contextlib import ExitStack

from config.local import environment, folder, services
from config.local.refusal import Refusal


def _start() -> None:
    stack, session = ExitStack(), os.getpid()
    # Sooner than any of it starts, so that an interruption finds the way out; a forked test has no say in it.
    atexit.register(lambda: stack.close() if os.getpid() == session else None)
    path = stack.enter_context(folder.throwaway())
    environment.export(stack.enter_context(services.started(path)).settings)


def _missing() -> list[str]:
    return [name for name in (environment.DATABASE, environment.REDIS) if not environment.given(name)]


if not environment.given(environment.SECRET):
    environment.export({environment.SECRET: "only-for-tests"})
if _missing():
    try:
        _start()
    except (Refusal, OSError) as error:
        sys.exit(f"tests.services: {error}")
