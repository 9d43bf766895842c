"""What gunicorn is told beyond its command line (--config python:config.web): nobody keeps a thread by silence, and
what it cannot read is answered as everything else is."""

import logging
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date
from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from config import settings
from eventstore import correlation

logger = logging.getLogger(__name__)

LINGER_SECONDS = 0.2
CHUNK = 1 << 16

worker_class = "config.web.Worker"


def when_ready(server: Any) -> None:
    """Connections inherit it from whom they are accepted by. gunicorn itself waits without end for the rest of a
    request that was begun; sixteen clients who never finish would be all that two workers of eight threads serve."""
    for listener in server.LISTENERS:
        limit = struct.pack("ll", settings.WEB_SILENT_SECONDS, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    """What a view has not read of a body is read after the answer, and may turn out to be malformed only then."""
    request.answered = response is not None and response.headers_sent


class Worker(ThreadWorker):
    def handle(self, connection: Any) -> Any:
        """A connection that has ended is let go of by the thread that served it. gunicorn does so in the one thread
        that accepts others, and waits there for two seconds for each client who does not hang up."""
        goes_on = super().handle(connection)
        if goes_on is False:
            with suppress(OSError):
                _hang_up(connection.sock)
        return goes_on

    def handle_error(self, request: Any, client: socket.socket, address: Any, error: Exception) -> None:
        """Nothing of what was sent is repeated, to the client or in the log: there may be a token in it."""
        answer = correlation.answered(HttpRequest(), lambda unknown: _refusal(unknown, error))
        if not getattr(request, "answered", False):
            with suppress(OSError):
                util.write_nonblock(client, _written(answer))


def _hang_up(client: socket.socket) -> None:
    """Taking for a moment what is still on its way: to close before it has come would take the answer back."""
    client.shutdown(socket.SHUT_WR)
    client.settimeout(LINGER_SECONDS)
    until = time.monotonic() + LINGER_SECONDS
    with suppress(TimeoutError):
        while client.recv(CHUNK) and time.monotonic() < until:
            pass
    client.shutdown(socket.SHUT_RDWR)


def _refusal(request: HttpRequest, error: Exception) -> HttpResponse:
    """To a request of which nothing is known; its address in the answer is empty, which means the one asked for."""
    from config import problems  # needs Django set up, as it is in a worker, and not yet where this file is read

    if isinstance(error, OURS) or not isinstance(error, THEIRS):
        logger.error("a request has no answer", exc_info=error)
        return problems.server_error(request)
    what = problems.title(type(error).__name__)
    logger.warning("a request cannot be read: %s", what)
    status, code = next((said for kind, said in ANSWERS.items() if isinstance(error, kind)), (400, "BadRequest"))
    return problems.response(request, status, code, f"The request cannot be read. {what}.")


def _written(answer: HttpResponse) -> bytes:
    answer["Content-Length"], answer["Connection"], answer["Date"] = len(answer.content), "close", http_date()
    line = f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}\r\n"
    return line.encode() + answer.serialize_headers() + b"\r\n\r\n" + answer.content


THEIRS = (errors.ParseException, ssl.SSLError)
OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)
ANSWERS = {
    errors.LimitRequestLine: (414, "AddressTooLong"),
    errors.LimitRequestHeaders: (431, "HeadersTooLarge"),
    errors.ExpectationFailed: (417, "ExpectationFailed"),
    errors.UnsupportedTransferCoding: (501, "UnsupportedTransferCoding"),
}
