"""One connection: what a client may not send, and how long it may be silent."""

import http.client
import sys
from typing import Any

from django.conf import settings
from gunicorn.asgi.parser import ParseError
from gunicorn.asgi.protocol import _REASON_PHRASES, ASGIProtocol

from . import refusals
from .refusals import Refusal

# After the last answer, for what is still on its way: to close before it has come would take the
# answer back.
LINGER_SECONDS = 0.2


# Its own table lacks some that we answer with, such as 412.
_REASON_PHRASES.update(
    {status: phrase for status, phrase in http.client.responses.items() if phrase}
)


class ExpectationFailed(ParseError):
    """The client expects what is not 100-continue."""


class UnreadableNumber(ParseError):
    """A number of more digits than Python reads."""


class Protocol(ASGIProtocol):
    """gunicorn's, with answers in problem details, and with bounds on connections that wait."""

    _closed: bool

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._first = self.worker.loop.call_later(settings.WEB_SILENT_SECONDS, self._nothing_came)
        self.worker.note_idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._first.cancel()
        self.worker.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._closed:  # else it has its last answer
            super().data_received(data)

    def _feed_callback_parser(self, data: bytes) -> bool:
        try:
            going_on: bool = super()._feed_callback_parser(data)
            return going_on
        except ValueError:  # of int(), which gunicorn does not expect
            self.refuse(refusals.unreadable(400, UnreadableNumber()))
            self._close_transport()
            return False

    def _on_headers_complete(self) -> bool:
        self._first.cancel()
        self.worker.idle.pop(self, None)
        found: bool = super()._on_headers_complete()
        expected = self._current_request.get_header("EXPECT")
        if expected is not None and expected.lower() != "100-continue":
            raise ExpectationFailed
        return found

    def _arm_keepalive_timer(self) -> None:
        super()._arm_keepalive_timer()
        self.worker.note_idle(self)

    def let_go(self) -> None:
        """Close a connection on which no request is under way."""
        self._keepalive_timeout()

    def make_room(self) -> None:
        """As let_go, at once: one that lingers would still count."""
        self._closed = True
        self.transport.abort()

    def _nothing_came(self) -> None:
        if self._http1_begun():
            self.refuse(Refusal(408, "The rest of the request did not come."))
        self.let_go()

    def _http1_begun(self) -> bool:
        return bool(self._callback_parser is not None and self._callback_parser.remaining())

    def refuse(self, refusal: Refusal) -> None:
        self._safe_write(refusals.written(refusal))

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """gunicorn calls it where it handles the error, of which we tell the class alone."""
        error = sys.exception()
        if isinstance(error, ExpectationFailed):
            status = 417
        self.refuse(Refusal(500, "") if status == 500 else refusals.unreadable(status, error))

    def _is_websocket_upgrade(self, request: Any) -> bool:
        return False  # config.live serves sockets

    def _close_transport(self) -> None:
        """Say that nothing more comes, take for a moment what is still on its way, then close."""
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
        """Abort drops what was not taken, so a slow client has as long for it as it may be
        silent."""
        left = self.transport.get_write_buffer_size()
        if left:
            self.worker.loop.call_later(settings.WEB_SILENT_SECONDS, self.transport.abort)
        else:
            self.transport.abort()
