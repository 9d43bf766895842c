"""Clients that begin a request and never finish it: their threads are free again, and others are served."""

import socket
from contextlib import ExitStack, contextmanager

import pytest

from config.local import ports

HALF = {
    "half a header": b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    "half a body": b"POST /api/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{",
}
# More than the two workers of eight threads can hold.
MANY = 20


@contextmanager
def silent(port, begun):
    with ExitStack() as stack:
        for _ in range(MANY):
            client = stack.enter_context(socket.create_connection((ports.HOST, port)))
            client.sendall(begun)
        yield


@pytest.mark.timeout(120)
@pytest.mark.parametrize("begun", HALF.values(), ids=HALF)
def test_everybody_else_is_served_while_they_are_still_there(web, begun):
    with silent(web.port, begun):
        for _ in range(4):
            assert web.is_live()
