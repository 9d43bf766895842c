"""Settings of gunicorn beyond its command line (--config python:config.web): one event loop holds
every connection of a process, and a thread is given to a request only when all of it is here (ADR
28)."""

import os
import signal
from functools import partial
from typing import Any

from config import settings

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

worker_class = "config.web.worker.Worker"
# Connections that a process holds at once; for one more, the one that has been idle for longest is
# closed.
worker_connections = settings.WEB_CONNECTIONS
# An idle connection costs no thread. Longer than the usual 60 seconds of a proxy, which then closes
# first.
keepalive = 75
# uvloop where it is installed.
asgi_loop = "auto"
asgi_lifespan = "off"
# A client that has gone gets no thread any more.
asgi_disconnect_grace_period = 0


def on_starting(server: Any) -> None:
    """Called once in the master, before a worker is forked and before any request: a check that
    raises SystemExit here keeps the server from starting."""
    # A new worker still has the master's signal handlers, and uvloop handles signals only while its
    # loop runs. So signals stay blocked until the loop runs; the kernel keeps them pending.
    os.register_at_fork(
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, STOPPING), after_in_parent=let_stop
    )


def let_stop() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
