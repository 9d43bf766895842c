"""Every request is a business transaction of its own, or goes on with the one that the client names."""

import logging
import re
from collections.abc import Callable
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from uuid_utils.compat import uuid7

from . import context
from .messages import Metadata

HEADER = "X-Correlation-ID"
# Version ff is none; ids of zeros alone are none either.
TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")


class CorrelationMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        correlation_id = _given(request) or uuid7()
        with context.bound(Metadata(correlation_id, trace=_trace(request))):
            response = self.get_response(request)
        response[HEADER] = str(correlation_id)
        return response


class CorrelationFilter(logging.Filter):
    """Gives every log line the business transaction that it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        bound = context.bound_now()
        record.correlation_id = str(bound.correlation_id) if bound else "-"
        return True


def _given(request: HttpRequest) -> UUID | None:
    given = request.headers.get(HEADER)
    try:
        return UUID(given) if given else None
    except ValueError:
        return None


def _trace(request: HttpRequest) -> str:
    """The client's W3C trace context; one that is not valid is passed over, never an error."""
    given = request.headers.get("traceparent", "")
    found = TRACE.fullmatch(given) if given else None
    return given if found and int(found["trace"], 16) and int(found["span"], 16) else ""
