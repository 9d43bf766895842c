"""Clients that never finish a request, or never disconnect: other clients are served."""

import socket
from contextlib import ExitStack, contextmanager

import pytest

from tools.devserver import ports

HALF = {
    "half a header": b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    "half a body": (
        b"POST /api/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\n\r\n{"
    ),
}
# More than the threads of both workers, eight each.
MANY = 20
# With two seconds for each in sequence, gunicorn would kill the worker.
VERY_MANY = 200


@contextmanager
def silent(port, begun, many):
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((ports.HOST, port))) for _ in range(many)
        ]
        for client in clients:
            client.sendall(begun)
        yield clients


@pytest.mark.timeout(120)
@pytest.mark.parametrize("begun", HALF.values(), ids=HALF)
def test_everybody_else_is_served_while_they_are_still_there(web, begun):
    with silent(web.port, begun, MANY):
        for _ in range(4):
            assert web.is_live()


@pytest.mark.timeout(120)
def test_nobody_waits_for_those_who_have_their_answer_and_do_not_hang_up(web):
    with silent(web.port, b"nonsense\r\n\r\n", VERY_MANY) as clients:
        for client in clients:
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
        assert web.is_live()
        assert "WORKER TIMEOUT" not in web.log.read_text()
