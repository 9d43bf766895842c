"""Celery as it runs in production, on the test's database: its processes can be looked at, stopped
and killed."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil

from tests.eventstore.concurrently import until, url_of_the_test
from tools.devserver.processes import ends_with_us

PROCESSES = 2


class Worker:
    """app: the module of the Celery application. beat: whether this one polls the others, and
    itself. pool: what Celery calls it."""

    def __init__(self, folder, *, app="config", beat=True, pool="prefork", environment=None):
        self.pool = pool
        self.app, self.beat = app, ["-B", "-s", str(folder / "beat")] if beat else []
        self.environment = {"DATABASE_URL": url_of_the_test(), "EVENTSTORE_WAKE_WORKERS": "1"} | (
            environment or {}
        )
        self.log = folder / "log"
        self.program = None

    def start(self):
        with self.log.open("ab") as log:
            self.program = subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-m",
                    "celery",
                    "-q",
                    "-A",
                    self.app,
                    "worker",
                    *self.beat,
                ]
                # As of a machine of its own: over RabbitMQ, a second worker of the same name is not
                # let in.
                + ["-n", f"worker@{self.log.parent.name}"]
                + [
                    "-P",
                    self.pool,
                    "-c",
                    str(PROCESSES),
                    "-l",
                    "INFO",
                    "--without-gossip",
                    "--without-mingle",
                ],
                env=os.environ | self.environment,
                start_new_session=True,
                preexec_fn=ends_with_us(signal.SIGKILL),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def until_it_is_ready(self):
        until(lambda: b"ready." in self.log.read_bytes(), seconds=60)
        return self

    def processes(self):
        """Those that run tasks, and those that let them run."""
        return [
            *psutil.Process(self.program.pid).children(recursive=True),
            psutil.Process(self.program.pid),
        ]

    def kill(self):
        """As a machine that loses its power: the whole family at once. Once dead, it stays so."""
        with suppress(ProcessLookupError):
            os.killpg(self.program.pid, signal.SIGKILL)
        self.program.wait()
