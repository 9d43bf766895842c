"""One HTTP connection: errors as problem details, and time limits for silent clients."""

import http.client
import sys
from typing import Any

from django.conf import settings
from gunicorn.asgi.parser import ParseError
from gunicorn.asgi.protocol import _REASON_PHRASES, ASGIProtocol

from . import early_errors
from .early_errors import EarlyError

# After the last response, the rest of the request is still read for so long: closing the connection
# with unread data would reset it, and the client could lose the response.
LINGER_SECONDS = 0.2

# gunicorn's own table lacks some statuses that the API uses, such as 412.
_REASON_PHRASES.update(
    {status: phrase for status, phrase in http.client.responses.items() if phrase}
)


class ExpectationFailed(ParseError):
    """The Expect header has another value than 100-continue."""


class UnreadableNumber(ParseError):
    """A number with more digits than Python parses."""


class MissingHost(ParseError):
    """A request of HTTP/1.1 without a Host header (RFC 9112, 3.2)."""


class RepeatedHeader(ParseError):
    """A header that may be there once only."""


ONCE_ONLY = (b"host", b"idempotency-key")


class Protocol(ASGIProtocol):
    """gunicorn's protocol, with problem details for errors, and limits for idle connections."""

    _closed: bool
    # Whether anything of the first request was received.
    _begun = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._first = self.worker.loop.call_later(
            settings.WEB_SILENT_SECONDS, self._first_request_late
        )
        self.worker.note_idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._first.cancel()
        self.worker.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._closed:  # otherwise the last response was sent
            self._begun = True
            super().data_received(data)

    def _feed_callback_parser(self, data: bytes) -> bool:
        try:
            goes_on: bool = super()._feed_callback_parser(data)
            return goes_on
        except ValueError:  # from int(), which gunicorn does not expect
            self.send_error(early_errors.unreadable(400, UnreadableNumber()))
            self._close_transport()
            return False

    def _on_headers_complete(self) -> bool:
        self._first.cancel()
        self.worker.idle.pop(self, None)
        found: bool = super()._on_headers_complete()
        request = self._current_request
        names = [name for name, _ in request.headers_bytes]
        if request.version >= (1, 1) and b"host" not in names:
            raise MissingHost
        if any(names.count(name) > 1 for name in ONCE_ONLY):
            raise RepeatedHeader
        expected = request.get_header("EXPECT")
        if expected is not None and expected.lower() != "100-continue":
            raise ExpectationFailed
        return found

    def _arm_keepalive_timer(self) -> None:
        super()._arm_keepalive_timer()
        self.worker.note_idle(self)

    def close_idle(self) -> None:
        """Close a connection without a request in progress."""
        self._keepalive_timeout()

    def abort_idle(self) -> None:
        """As close_idle, but at once: a lingering connection would still count."""
        self._closed = True
        self.transport.abort()

    def _first_request_late(self) -> None:
        if self._begun:
            self.send_error(EarlyError(408, "The rest of the request did not arrive in time."))
        self.close_idle()

    def send_error(self, error: EarlyError) -> None:
        self._safe_write(early_errors.serialized(error))

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """gunicorn calls it while it handles an exception. Only the exception's class is sent."""
        error = sys.exception()
        if isinstance(error, ExpectationFailed):
            status = 417
        self.send_error(
            EarlyError(500, "") if status == 500 else early_errors.unreadable(status, error)
        )

    def _is_websocket_upgrade(self, request: Any) -> bool:
        return False  # config.live serves WebSockets

    def _close_transport(self) -> None:
        """Send EOF, read the rest of the request for a moment, then close."""
        if self._closed or self.transport is None:
            return
        self._closed = True
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._reading_paused = True
        self._resume_reading()
        self.worker.loop.call_later(LINGER_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        """Aborting drops unsent data, so a slow client gets as much time to read it as it may be
        silent."""
        left = self.transport.get_write_buffer_size()
        if left:
            self.worker.loop.call_later(settings.WEB_SILENT_SECONDS, self.transport.abort)
        else:
            self.transport.abort()
