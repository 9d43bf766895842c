"""Correlation of requests: every request has a correlation id, its own or the one that the client
sends.

A request id distinguishes requests with the same correlation id. The client's W3C trace context is
passed on to everything that the request causes. Without one, the correlation id is the trace id, so
that nothing more is stored.
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
# Safe in headers and log lines.
VISIBLE = re.compile("[!-~]{1,128}")
# The W3C forbids version ff, and ids that are all zeros.
TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")

_request_id: ContextVar[str] = ContextVar("eventstore_request_id", default="-")


class CorrelationMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return answered(request, self._logged)

    def _logged(self, request: HttpRequest) -> HttpResponse:
        """Django logs error responses too, once per response, but after the last middleware, where
        the request id is gone."""
        response = self.get_response(request)
        if response.status_code >= 400:
            log_response(
                "%s: %s", response.reason_phrase, request.path, response=response, request=request
            )
        return response


class CorrelationFilter(logging.Filter):
    """Adds the correlation id and the request id to every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        bound = context.bound_now()
        record.correlation_id = str(bound.correlation_id) if bound else "-"
        record.request_id = request_id()
        return True


def answered(
    request: HttpRequest, get_response: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    """The response, with the ids bound meanwhile and sent back in its headers."""
    correlation_id = _correlation_id_of(request) or uuid7()
    given = request.headers.get(REQUEST, "")
    name = given if VISIBLE.fullmatch(given) else str(uuid7())
    with _request_id_bound(name), context.bound(Metadata(correlation_id, trace=_trace_of(request))):
        response = get_response(request)
    response[HEADER], response[REQUEST] = str(correlation_id), name
    return response


def request_id() -> str:
    return _request_id.get()


def trace_id() -> str:
    now = context.current()
    return now.trace[3:35] or now.correlation_id.hex


@contextmanager
def _request_id_bound(name: str) -> Iterator[None]:
    token = _request_id.set(name)
    try:
        yield
    finally:
        _request_id.reset(token)


def _correlation_id_of(request: HttpRequest) -> UUID | None:
    """Not an id of zeros, which is invalid as a trace id."""
    try:
        given = UUID(request.headers.get(HEADER, ""))
    except ValueError:
        return None
    return given if given.int else None


def _trace_of(request: HttpRequest) -> str:
    """The client's W3C trace context. An invalid one is ignored, as the standard demands."""
    given = request.headers.get("traceparent", "")
    found = TRACE.fullmatch(given) if given else None
    return given if found and int(found["trace"], 16) and int(found["span"], 16) else ""
