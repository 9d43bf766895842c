"""What `make run` serves, on the test's database: web, sockets, a worker, and the demo's people and
goods."""

import os
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.core.management import call_command

from eventstore.testing import drain
from tests.journeys.conftest import Worker, url_of_the_test
from tests.live.conftest import Live
from tools.devserver import ports, programs

PATIENCE_SECONDS = 60.0


@pytest.fixture
def served(transactional_db, tmp_path):
    """How a shell finds it all."""
    call_command("demo", "--anyway", verbosity=0)
    drain()
    web, live, worker = Web(), Live(ports.free()), Worker("orchestration", tmp_path)
    worker.start()
    try:
        live.start()
        web.wait()
        yield {
            "API": f"http://{ports.HOST}:{web.port}/api",
            "WS": f"ws://{ports.HOST}:{live.port}/ws",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
    finally:
        worker.kill()
        live.stop()
        web.stop()


class Web:
    """The commands and queries, by gunicorn."""

    def __init__(self):
        self.port = ports.free()
        settings = {
            "DATABASE_URL": url_of_the_test(),
            "THROTTLE_LOGIN": "",
            "LOG_LEVEL": "ERROR",
        } | {"WEB_DRAIN_SECONDS": "0"}
        self.process = subprocess.Popen(
            programs.web(self.port, {}).command, env=os.environ | settings
        )

    def wait(self):
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return HTTPConnection(ports.HOST, self.port).connect()
            except OSError:
                assert time.monotonic() < until, "the server does not answer"
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
