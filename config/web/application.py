"""Django behind gunicorn's event loop: the body is collected first, a thread makes the answer, the
loop sends it.

So neither a slow upload nor a slow download keeps a thread, and a body that is too large is refused
unread.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from io import BytesIO
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import IO, Any, NamedTuple, cast
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpResponse

from access import throttling

from . import refusals
from .refusals import Refusal
from .turns import Overloaded, Turns

logger = logging.getLogger(__name__)

Meta = dict[str, Any]
Headers = Sequence[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

# Of a request's body in memory, what is larger lies in a file; of an answer on its way to a client
# at once.
PIECE = 1 << 16
# For a whole body, however steadily it drips.
BODY_SECONDS = 120.0


class Answer(NamedTuple):
    """rest: further pieces of a body that is made while it is sent."""

    status: int
    headers: Headers
    body: bytes
    rest: "Rest | None" = None


class Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class Gone(Exception):
    """The client has hung up."""


class Application:
    """ASGI around a WSGI application."""

    def __init__(self, wsgi: Callable[..., Any], threads: int) -> None:
        self._wsgi, self._turns = wsgi, Turns(threads)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        meta = _meta(scope)
        client = _client(meta)
        with _room(meta) as body:
            try:
                await _collect(meta, receive, body)
                answer = await self._turns.run(client, _answer, self._wsgi, meta, body)
            except Gone:
                return
            except Refused as refused:
                answer = _refusal(refused.refusal)
            except Overloaded:
                answer = _refusal(
                    Refusal(503, "Too many requests at once. Try again in a moment.", retry_after=1)
                )
        await self._send(client, answer, send)

    async def _send(self, client: str, answer: Answer, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        *pieces, last = _cut(answer.body)
        for piece in pieces:
            await _hand(send, piece, more=True)
        await _hand(send, last, more=answer.rest is not None)
        if answer.rest is not None:
            try:
                while piece := await self._turns.run(client, answer.rest.take):
                    await _hand(send, piece, more=True)
            finally:
                # Also where the client has gone, and a thread is still about to make the next
                # piece.
                self._turns.soon(answer.rest.close)
            await _hand(send, b"", more=False)


def _room(meta: Meta) -> IO[bytes]:
    """For a body: one that is small, or that a client says is, needs no file."""
    length = int(meta.get("CONTENT_LENGTH") or 0)
    return BytesIO() if length <= PIECE else cast(IO[bytes], SpooledTemporaryFile(PIECE))


def _cut(body: bytes) -> list[bytes]:
    """In pieces, each of which has to be taken in time."""
    return (
        [body[start : start + PIECE] for start in range(0, len(body), PIECE)]
        if len(body) > PIECE
        else [body]
    )


async def _collect(meta: Meta, receive: Receive, body: IO[bytes]) -> None:
    """A body whose length is not told is not read: a view that wants one answers 411. Raises
    Refused and Gone."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = int(meta.get("CONTENT_LENGTH") or 0)
    if length > limit:
        raise Refused(Refusal(413, f"The body is larger than {limit} bytes."))
    if length == 0:
        return
    end = asyncio.get_running_loop().time() + BODY_SECONDS
    try:
        async with asyncio.timeout(settings.WEB_SILENT_SECONDS) as bound:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                length -= body.write(message.get("body", b""))
                if length <= 0:
                    break
                bound.reschedule(
                    min(end, asyncio.get_running_loop().time() + settings.WEB_SILENT_SECONDS)
                )
    except TimeoutError:
        raise Refused(Refusal(408, "The rest of the request did not come.")) from None
    body.seek(0)


async def _hand(send: Send, piece: bytes, *, more: bool) -> None:
    """Waits until most of what was handed before has been taken."""
    try:
        async with asyncio.timeout(settings.WEB_SILENT_SECONDS):
            await send({"type": "http.response.body", "body": piece, "more_body": more})
    except TimeoutError:
        logger.warning(
            "an answer was not taken for %s seconds; the connection is closed",
            settings.WEB_SILENT_SECONDS,
        )
        # As for a client that has gone.
        raise asyncio.CancelledError from None


def _answer(wsgi: Callable[..., Any], meta: Meta, body: IO[bytes]) -> Answer:
    """In a thread."""
    begun: list[tuple[int, Headers]] = []

    def start_response(
        status: str, headers: Sequence[tuple[str, str]], exc_info: Any = None
    ) -> None:
        begun[:] = [
            (
                int(status[:3]),
                [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            )
        ]

    meta["wsgi.input"] = body
    response = wsgi(meta, start_response)
    [(status, headers)] = begun
    bodiless = meta["REQUEST_METHOD"] == "HEAD" or status in (204, 304)
    if getattr(response, "streaming", False) and not bodiless:
        return Answer(status, headers, b"", Rest(response))
    pieces: Iterable[bytes] = () if bodiless else response
    whole = b"".join(pieces)
    response.close()
    return Answer(status, headers, whole)


class Rest:
    """The pieces of a streaming response. Its methods run in threads, one after the other."""

    def __init__(self, response: Any) -> None:
        self._response, self._pieces, self._lock = response, iter(response), Lock()

    def take(self) -> bytes:
        """As much as fits one turn; nothing at the end."""
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


def _refusal(refusal: Refusal) -> Answer:
    response: HttpResponse = refusals.answer(refusal)
    response["Content-Length"], response["Connection"] = str(len(response.content)), "close"
    headers = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()
    ]
    return Answer(response.status_code, headers, response.content)


def _client(meta: Meta) -> str:
    """Whose turn it is: a token's, or an address's."""
    return meta.get("HTTP_AUTHORIZATION") or throttling.address(meta)


def _meta(scope: Mapping[str, Any]) -> Meta:
    """As PEP 3333 has it."""
    server, client = scope.get("server") or ("", ""), scope.get("client") or ("", "")
    meta: Meta = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
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
    return meta
