"""gunicorn's settings, in addition to the command line (--config python:config.web).

One event loop holds all connections of a process, and a request gets a thread only when it is
complete (ADR 28).
"""

import os
import signal
from functools import partial
from typing import Any

from config import settings

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

worker_class = "config.web.worker.Worker"
# Connections of one process. For one more, the connection that has been idle longest is closed.
worker_connections = settings.WEB_CONNECTIONS
# Seconds. An idle connection occupies no thread. Longer than the usual 60 seconds of a proxy, so
# that the proxy closes first.
keepalive = 75
# uvloop if it is installed.
asgi_loop = "auto"
asgi_lifespan = "off"
# The request of a disconnected client gets no thread any more.
asgi_disconnect_grace_period = 0


def on_starting(server: Any) -> None:
    """Called once in the master, before a worker is forked and before any request: a check that
    raises SystemExit here keeps the server from starting."""
    # A new worker still has the master's signal handlers, and uvloop handles signals only while its
    # loop runs. So signals stay blocked until the loop runs; the kernel keeps them pending.
    os.register_at_fork(
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, STOP_SIGNALS),
        after_in_parent=unblock_signals,
    )


def unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
