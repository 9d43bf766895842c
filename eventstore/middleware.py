"""Every request is a business transaction of its own, or goes on with the one that the client
names.

Its own id tells it apart from others of the same transaction. It belongs to the client's trace,
too, which goes with all that it causes; where the client has begun none, to one of the same id as
the transaction, so that nothing more is kept.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response
from uuid_utils.compat import uuid7

from eventstore.log import context
from eventstore.messages import Metadata

HEADER, REQUEST = "X-Correlation-ID", "X-Request-ID"
# What can break out of no header and no line of a log.
VISIBLE = re.compile("[!-~]{1,128}")
# Version ff is none; ids of zeros alone are none either.
TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")

_request_id: ContextVar[str] = ContextVar("eventstore_request_id", default="-")


class CorrelationMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return answered(request, self._logged)

    def _logged(self, request: HttpRequest) -> HttpResponse:
        """Django does so too, once for each response, but after the last middleware: its line would
        name no request."""
        response = self.get_response(request)
        if response.status_code >= 400:
            log_response(
                "%s: %s", response.reason_phrase, request.path, response=response, request=request
            )
        return response


class CorrelationFilter(logging.Filter):
    """Gives every log line the business transaction and the request that it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        bound = context.bound_now()
        record.correlation_id = str(bound.correlation_id) if bound else "-"
        record.request_id = request_id()
        return True


def answered(
    request: HttpRequest, get_response: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    correlation_id, name = _given(request) or uuid7(), _name(request) or str(uuid7())
    with _named(name), context.bound(Metadata(correlation_id, trace=_trace(request))):
        response = get_response(request)
    response[HEADER], response[REQUEST] = str(correlation_id), name
    return response


def request_id() -> str:
    return _request_id.get()


def trace_id() -> str:
    now = context.current()
    return now.trace[3:35] or now.correlation_id.hex


@contextmanager
def _named(name: str) -> Iterator[None]:
    token = _request_id.set(name)
    try:
        yield
    finally:
        _request_id.reset(token)


def _given(request: HttpRequest) -> UUID | None:
    """An id of zeros alone is none, and could be no trace's."""
    try:
        given = UUID(request.headers.get(HEADER, ""))
    except ValueError:
        return None
    return given if given.int else None


def _name(request: HttpRequest) -> str | None:
    given = request.headers.get(REQUEST, "")
    return given if VISIBLE.fullmatch(given) else None


def _trace(request: HttpRequest) -> str:
    """The client's W3C trace context; one that is not valid is passed over, never an error."""
    given = request.headers.get("traceparent", "")
    found = TRACE.fullmatch(given) if given else None
    return given if found and int(found["trace"], 16) and int(found["span"], 16) else ""
