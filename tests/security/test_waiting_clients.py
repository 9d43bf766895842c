"""Waiting connections (idle, or in the middle of a request or a response) occupy no thread: other
clients are served.

This does not depend on time: the silent clients stay connected for up to ten minutes, and requests
are served meanwhile.
"""

import socket
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

import pytest

from tools.devserver import ports

from .conftest import SETTINGS, started

PATIENT = SETTINGS | {"WEB_SILENT_SECONDS": "600"}
LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LOGIN = b"POST /api/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
WAITING = {
    "idle": b"",
    "half a header": LIVE + b"X: ",
    "half a body": LOGIN + b"Content-Length: 1000\r\n\r\n{",
    "no body yet": LOGIN + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
    "half a chunk": LOGIN + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
    # The OpenAPI document is larger than the kernel buffers for a client that reads nothing.
    "an answer not taken": b"GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}
# Two processes with eight threads each.
MANY = {"idle": 500, "an answer not taken": 20}
ASKED = 20


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    with started(tmp_path_factory.mktemp("patient"), PATIENT) as web:
        yield web


@contextmanager
def connected(port, sent, many):
    with ExitStack() as stack:
        clients = []
        for _ in range(many):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((ports.HOST, port))
            client.sendall(sent)
            clients.append(client)
        yield clients


def is_still_open(client):
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", WAITING)
def test_others_are_served_while_they_wait(patient, how):
    with connected(patient.port, WAITING[how], MANY.get(how, 64)) as clients:
        for _ in range(ASKED):
            assert patient.is_live(timeout=20)
        if how != "half a chunk":  # answered 411, and closed
            assert all(is_still_open(each) for each in clients)


@pytest.mark.timeout(120)
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(patient):
    with connected(patient.port, LOGIN + b"Content-Length: 1000000000\r\n\r\n", 1) as [client]:
        client.settimeout(20)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


@pytest.mark.timeout(120)
def test_requests_in_one_packet_are_answered_in_order(patient):
    request = LIVE + b"X-Request-ID: %d\r\n\r\n"
    with connected(patient.port, b"".join(request % each for each in range(5)), 1) as [client]:
        client.settimeout(20)
        received = b""
        while received.count(b'live"}') < 5:
            received += client.recv(1 << 16)
    assert [line for line in received.decode().splitlines() if line.startswith("X-Request-ID")] == [
        f"X-Request-ID: {each}" for each in range(5)
    ]


@pytest.mark.timeout(120)
def test_a_connection_serves_many_requests(patient):
    connection = HTTPConnection(ports.HOST, patient.port, timeout=20)
    addresses = set()
    for _ in range(5):
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        addresses.add(connection.sock.getsockname())
    connection.close()
    assert len(addresses) == 1


@pytest.mark.timeout(120)
def test_of_too_many_connections_the_longest_idle_one_makes_room(tmp_path):
    with (
        started(tmp_path, PATIENT | {"WEB_CONNECTIONS": "20"}) as web,
        connected(web.port, b"", 100),
    ):
        for _ in range(ASKED):
            assert web.is_live(timeout=20)
