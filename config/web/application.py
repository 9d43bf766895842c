"""Django behind gunicorn's event loop: the loop reads the request body, a thread makes the
response, and the loop sends it.

So neither a slow upload nor a slow download occupies a thread, and a body that is too large is
rejected unread.
"""

import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from io import BytesIO
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import IO, Any, NamedTuple, cast
from urllib.parse import unquote_to_bytes

from django.conf import settings

from access import admission

from . import early_errors
from .early_errors import EarlyError
from .fair_pool import FairThreadPool, Overloaded

logger = logging.getLogger(__name__)

Meta = dict[str, Any]
Headers = Sequence[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

# Bytes. A larger request body is buffered in a file; a response is sent in pieces of this size.
PIECE = 1 << 16
# A request target in absolute form, as clients send it to proxies.
ABSOLUTE = re.compile(b"(?i:https?)://([^/]*)")
# For a whole request body, however steadily it arrives.
BODY_SECONDS = 120.0


class Response(NamedTuple):
    """rest: further pieces of a streaming response."""

    status: int
    headers: Headers
    body: bytes
    rest: "Rest | None" = None


class Rejected(Exception):
    def __init__(self, error: EarlyError) -> None:
        super().__init__(error.detail)
        self.error = error


class Disconnected(Exception):
    """The client has closed the connection."""


class Application:
    """An ASGI application around a WSGI application."""

    def __init__(self, wsgi: Callable[..., Any], threads: int) -> None:
        self._wsgi, self._threads = wsgi, FairThreadPool(threads)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        meta = _environ(scope)
        # A client is a token, or an address of anonymous clients.
        client = meta.get("HTTP_AUTHORIZATION") or admission.address(meta)
        length = int(meta.get("CONTENT_LENGTH") or 0)
        with BytesIO() if length <= PIECE else SpooledTemporaryFile(PIECE) as buffer:
            body = cast(IO[bytes], buffer)
            try:
                await _read_body(length, receive, body)
                response = await self._threads.run(client, _respond, self._wsgi, meta, body)
            except Disconnected:
                return
            except Rejected as rejected:
                response = _error_response(rejected.error, meta["PATH_INFO"])
            except Overloaded:
                busy = EarlyError(503, "Too many requests at once. Retry in a moment.", 1)
                response = _error_response(busy, meta["PATH_INFO"])
        await self._send(client, response, send)

    async def _send(self, client: str, response: Response, send: Send) -> None:
        start = {"status": response.status, "headers": response.headers}
        await send({"type": "http.response.start"} | start)
        # Each piece has its own time limit. An empty body is one empty piece.
        for begin in range(0, len(response.body) or 1, PIECE):
            end = begin + PIECE
            more = end < len(response.body) or response.rest is not None
            await _send_piece(send, response.body[begin:end], more=more)
        if response.rest is not None:
            try:
                while piece := await self._threads.run(client, response.rest.take):
                    await _send_piece(send, piece, more=True)
            finally:
                # Also if the client has disconnected while a thread makes the next piece.
                self._threads.submit(response.rest.close)
            await _send_piece(send, b"", more=False)


async def _read_body(length: int, receive: Receive, body: IO[bytes]) -> None:
    """Read a body of this Content-Length. A chunked body is not read: a view that needs a body
    responds 411. Raises Rejected and Disconnected."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length > limit:
        raise Rejected(EarlyError(413, f"The request body is larger than {limit} bytes."))
    if length == 0:
        return
    end = asyncio.get_running_loop().time() + BODY_SECONDS
    try:
        async with asyncio.timeout(settings.WEB_SILENT_SECONDS) as bound:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                length -= body.write(message.get("body", b""))
                if length <= 0:
                    break
                bound.reschedule(
                    min(end, asyncio.get_running_loop().time() + settings.WEB_SILENT_SECONDS)
                )
    except TimeoutError:
        raise Rejected(EarlyError(408, "The rest of the request did not arrive in time.")) from None
    body.seek(0)


async def _send_piece(send: Send, piece: bytes, *, more: bool) -> None:
    """Waits until the client has read most of the pieces before."""
    try:
        async with asyncio.timeout(settings.WEB_SILENT_SECONDS):
            await send({"type": "http.response.body", "body": piece, "more_body": more})
    except TimeoutError:
        logger.warning(
            "client read nothing for %s seconds; closing the connection",
            settings.WEB_SILENT_SECONDS,
        )
        # As if the client had disconnected.
        raise asyncio.CancelledError from None


def _respond(wsgi: Callable[..., Any], meta: Meta, body: IO[bytes]) -> Response:
    """Runs in a thread."""
    started: list[tuple[int, Headers]] = []

    def start_response(
        status: str, headers: Sequence[tuple[str, str]], exc_info: Any = None
    ) -> None:
        started[:] = [(int(status[:3]), _encoded(headers))]

    meta["wsgi.input"] = body
    response = wsgi(meta, start_response)
    [(status, headers)] = started
    bodiless = meta["REQUEST_METHOD"] == "HEAD" or status in (204, 304)
    if getattr(response, "streaming", False) and not bodiless:
        return Response(status, headers, b"", Rest(response))
    pieces: Iterable[bytes] = () if bodiless else response
    whole = b"".join(pieces)
    response.close()
    return Response(status, headers, whole)


class Rest:
    """The pieces of a streaming response. Its methods run in threads, one at a time."""

    def __init__(self, response: Any) -> None:
        self._response, self._pieces, self._lock = response, iter(response), Lock()

    def take(self) -> bytes:
        """One piece or somewhat more; empty at the end."""
        found = bytearray()
        with self._lock:
            for each in self._pieces:
                found += each
                if len(found) >= PIECE:
                    break
        return bytes(found)

    def close(self) -> None:
        with self._lock:
            self._response.close()


def _error_response(error: EarlyError, path: str) -> Response:
    response = early_errors.response(error, path)
    response["Content-Length"], response["Connection"] = str(len(response.content)), "close"
    return Response(response.status_code, _encoded(response.items()), response.content)


def _encoded(headers: Iterable[tuple[str, str]]) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _environ(scope: Mapping[str, Any]) -> Meta:
    """The WSGI environ (PEP 3333)."""
    server, client = scope.get("server") or ("", ""), scope.get("client") or ("", "")
    path = scope["raw_path"]
    absolute = ABSOLUTE.match(path)
    if absolute:
        path = path[absolute.end() :] or b"/"
    meta: Meta = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str(client[0]),
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        meta[key] = f"{meta[key]},{text}" if key in meta else text
    # A target in absolute form takes precedence over the Host header (RFC 9112, 3.2.2).
    if absolute and absolute[1]:
        meta["HTTP_HOST"] = absolute[1].decode("latin-1")
    return meta
