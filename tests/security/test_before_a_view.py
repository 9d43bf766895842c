"""Requests that the web server cannot parse never reach a view, and get problem details like all
others."""

import json
import socket
from contextlib import closing
from http.client import HTTPConnection, parse_headers

import pytest

from eventstore.api.schema_registry import MEDIA_TYPE
from tests.api.conftest import MEMBERS
from tools.devserver import ports

CANARY = "canary<script>"
HOST = b"Host: 127.0.0.1\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n" + HOST
LOGIN = b"POST /api/auth/login/ HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CANCEL = (
    b"POST /api/commands/orders/X/cancel/ HTTP/1.1\r\n"
    + HOST
    + b"Content-Type: application/json\r\n"
)

UNREADABLE = {
    "no request line": (f"{CANARY}\r\n\r\n".encode(), 400, "BadRequest"),
    "a method that is none": (f"{CANARY} / HTTP/1.1\r\n\r\n".encode(), 400, "BadRequest"),
    "another protocol": (b"GET / HTTP/9.9\r\n\r\n", 400, "BadRequest"),
    "TLS": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n",
        400,
        "BadRequest",
    ),
    "no host": (b"GET /health/live HTTP/1.1\r\n\r\n", 400, "BadRequest"),
    "two hosts": (LIVE + b"Host: canary\r\n\r\n", 400, "BadRequest"),
    "two idempotency keys": (
        CANCEL + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n\r\n{}",
        400,
        "BadRequest",
    ),
    "headers that do not end": (LIVE + b"X: ", 408, "RequestTimeout"),
    "a header without a colon": (
        LIVE + f"Authorization Bearer {CANARY}\r\n\r\n".encode(),
        400,
        "BadRequest",
    ),
    "a header with a name that is none": (
        LIVE + f"{CANARY}: x\r\n\r\n".encode(),
        400,
        "BadRequest",
    ),
    "a header with NUL": (LIVE + f"Authorization: {CANARY}\0\r\n\r\n".encode(), 400, "BadRequest"),
    "a header over two lines": (LIVE + f"X: a\r\n {CANARY}\r\n\r\n".encode(), 400, "BadRequest"),
    "lines that end in LF": (b"GET / HTTP/1.1\nHost: 127.0.0.1\n\n\r\n\r\n", 400, "BadRequest"),
    "a length that is none": (
        LOGIN + f"Content-Length: {CANARY}\r\n\r\n{{}}".encode(),
        400,
        "BadRequest",
    ),
    "a negative length": (LOGIN + b"Content-Length: -1\r\n\r\n{}", 400, "BadRequest"),
    "two lengths": (LOGIN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400, "BadRequest"),
    "a length of too many digits": (
        LOGIN + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
        400,
        "BadRequest",
    ),
    "a length of forty digits": (
        LOGIN + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
        413,
        "BodyTooLarge",
    ),
    "a length of zeros": (
        LOGIN + b"Content-Length: " + b"0" * 5000 + b"\r\n\r\n{}",
        400,
        "BadRequest",
    ),
    "a length and chunks": (
        LOGIN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        400,
        "BadRequest",
    ),
    "another coding": (
        LOGIN + b"Transfer-Encoding: canary\r\n\r\n",
        501,
        "UnsupportedTransferCoding",
    ),
    "another expectation": (
        LOGIN + b"Expect: canary\r\nContent-Length: 2\r\n\r\n{}",
        417,
        "ExpectationFailed",
    ),
    "a long address": (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414, "AddressTooLong"),
    "a large header": (LIVE + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431, "HeadersTooLarge"),
    "many headers": (
        LIVE + b"".join(b"X%d: x\r\n" % n for n in range(101)) + b"\r\n",
        431,
        "HeadersTooLarge",
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("sent", "status", "code"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_a_problem_and_the_connection_is_closed(web, sent, status, code):
    answered, headers, body, rest = exchange(web, sent)
    assert (answered, headers["Content-Type"]) == (status, "application/problem+json")
    problem = json.loads(body)
    assert set(problem) == MEMBERS
    assert (problem["status"], problem["code"], problem["instance"]) == (status, code, "")
    assert problem["correlation_id"] == headers["X-Correlation-ID"]
    assert problem["request_id"] == headers["X-Request-ID"]
    assert headers["Connection"] == "close"
    assert rest == b"", "nothing more is told, and the connection is closed"
    assert b"canary" not in body.lower()


def test_clients_of_the_registry_read_a_body_that_is_too_large_as_its_error(web):
    request = b"POST /api/registry/subjects/a/versions HTTP/1.1\r\n" + HOST
    sent = request + b"Content-Length: 9999999999\r\n\r\n{}"
    status, headers, body, _ = exchange(web, sent)
    assert (status, headers["Content-Type"]) == (413, MEDIA_TYPE)
    answer = json.loads(body)
    assert set(answer) == {"error_code", "message"}
    assert answer["error_code"] == 413


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"2\r\n{}XX", b"2;\r\r\n{}\r\n", b"0\r\nX\n\r\n"])
def test_a_body_in_chunks_that_are_none_has_one_answer(web, chunks):
    """Neither view reads the body: its error may be found before or after the view has
    responded."""
    for request, status in ((LIVE, 200), (CANCEL, 401)):
        answered, _, _, rest = exchange(
            web, request + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        )
        assert answered in (400, status)
        assert rest == b""


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET http://127.0.0.1/health/live HTTP/1.1", 200),
        (b"GET HTTP://127.0.0.1/health/live?x=1 HTTP/1.1", 200),
        (b"GET http://evil.example/api/queries/orders/ HTTP/1.1", 400),
        (b"GET /health/live HTTP/1.0", 200),
    ],
)
def test_a_request_target_may_be_absolute_and_names_the_host(web, request_line, status):
    host = HOST if b"1.1" in request_line else b""
    with (
        socket.create_connection((ports.HOST, web.port), timeout=30) as client,
        client.makefile("rb") as received,
    ):
        client.sendall(request_line + b"\r\n" + host + b"Connection: close\r\n\r\n")
        assert int(received.readline().split()[1]) == status


def test_it_is_logged_without_what_was_sent(web):
    exchange(web, LIVE + f"Authorization Bearer {CANARY}\r\n\r\n".encode())
    log = web.log.read_text()
    assert "malformed request: Invalid header" in log
    assert "canary" not in log


def test_a_host_that_is_none_of_ours_is_one_line_of_the_log(web):
    before = len(web.log.read_text())
    with closing(HTTPConnection(ports.HOST, web.port, timeout=30)) as client:
        client.request("GET", "/api/queries/orders/", headers={"Host": "evil.example"})
        answer = client.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
        answer.read()
    [line] = [line for line in web.log.read_text()[before:].splitlines() if line.strip()]
    assert " WARNING django.security.DisallowedHost " in line
    assert "evil.example" in line


def exchange(web, sent):
    """Status, headers and body of the response, and the rest until the server closes the
    connection."""
    with (
        socket.create_connection((ports.HOST, web.port), timeout=30) as client,
        client.makefile("rb") as received,
    ):
        client.sendall(sent)
        status = int(received.readline().split()[1])
        headers = parse_headers(received)
        return status, headers, received.read(int(headers["Content-Length"])), received.read()
