"""Correlation of requests: every request has a correlation id, its own or the one that the client
sends.

A request id distinguishes requests with the same correlation id. The client's W3C trace context is
passed on to everything that the request causes. Without one, the correlation id is the trace id, so
that nothing more is stored.
"""

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response
from uuid_utils.compat import uuid7

from eventstore import log
from eventstore.messages import Metadata

HEADER, REQUEST = "X-Correlation-ID", "X-Request-ID"
# Safe in headers and log lines.
VISIBLE = re.compile("[!-~]{1,128}")
# The W3C forbids version ff, and ids that are all zeros.
TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

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
        bound = log.bound_metadata.get()
        record.correlation_id = str(bound.correlation_id) if bound else "-"
        record.request_id = _request_id.get()
        return True


def answered(
    request: HttpRequest, get_response: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    """The response, with the ids bound meanwhile and sent back in its headers."""
    try:
        correlation_id = UUID(request.headers.get(HEADER, ""))
    except ValueError:
        correlation_id = uuid7()
    if correlation_id.int == 0:  # invalid as a trace id
        correlation_id = uuid7()
    given = request.headers.get(REQUEST, "")
    name = given if VISIBLE.fullmatch(given) else str(uuid7())
    # An invalid trace context is ignored, as the standard demands.
    trace = request.headers.get("traceparent", "")
    metadata = Metadata(correlation_id, trace=trace if TRACE.fullmatch(trace) else "")
    named, bound = _request_id.set(name), log.bound_metadata.set(metadata)
    try:
        response = get_response(request)
    finally:
        log.bound_metadata.reset(bound)
        _request_id.reset(named)
    response[HEADER], response[REQUEST] = str(correlation_id), name
    return response


def request_id() -> str:
    return _request_id.get()


def trace_id() -> str:
    now = log.current_metadata()
    return now.trace[3:35] or now.correlation_id.hex
