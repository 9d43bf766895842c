"""Clients that begin a request and never finish it: their threads are free again, and others are served."""

import os
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

import pytest

from config.local import ports, programs

HALF = {
    "half a header": b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    "half a body": b"POST /api/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{",
}
# More than the two workers of eight threads can hold.
MANY = 20


@pytest.fixture(scope="module")
def port():
    """Patient for a second."""
    number = ports.free()
    settings = {"WEB_SILENT_SECONDS": "1", "LOG_LEVEL": "CRITICAL", "SECRET_KEY": "only-for-this-test"}
    server = subprocess.Popen(programs.web(number, {}).command, env=os.environ | settings, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not is_live(number):
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)
        yield number
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def silent(port, begun):
    with ExitStack() as stack:
        for _ in range(MANY):
            client = stack.enter_context(socket.create_connection((ports.HOST, port)))
            client.sendall(begun)
        yield


@pytest.mark.timeout(120)
@pytest.mark.parametrize("begun", HALF.values(), ids=HALF)
def test_everybody_else_is_served_while_they_are_still_there(port, begun):
    with silent(port, begun):
        for _ in range(4):
            assert is_live(port)


def is_live(port):
    asked = HTTPConnection(ports.HOST, port, timeout=60)
    try:
        asked.request("GET", "/health/live")
        return asked.getresponse().status == 200
    except OSError:
        return False
    finally:
        asked.close()
