"""The web process as the project starts it, with a limit of one second for silent clients; its log
is a file."""

import os
import subprocess
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import NamedTuple

import pytest

from tools.devserver import ports, programs

SETTINGS = {
    "WEB_SILENT_SECONDS": "1",
    "WEB_DRAIN_SECONDS": "0",
    "LOG_LEVEL": "WARNING",
    "SECRET_KEY": "only-for-this-test",
}


class Web(NamedTuple):
    port: int
    log: object

    def is_live(self, timeout=60):
        connection = HTTPConnection(ports.HOST, self.port, timeout=timeout)
        try:
            connection.request("GET", "/health/live")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def wait_until_live(web):
    until = time.monotonic() + 60
    while not web.is_live():
        assert time.monotonic() < until, web.log.read_text()
        time.sleep(0.05)


@contextmanager
def started(folder, settings):
    web = Web(ports.free(), folder / "log")
    with web.log.open("w") as log:
        server = subprocess.Popen(
            programs.web(web.port, {}).command, env=os.environ | settings, stderr=log
        )
    try:
        wait_until_live(web)
        yield web
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with started(tmp_path_factory.mktemp("web"), SETTINGS) as web:
        yield web
