"""Problem details for requests that never reach Django: unreadable, too large, or too slow.

Neither the response nor the log repeats anything that the client sent: it may contain a token.
"""

import logging
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date

from config.web.early_codes import EARLY_CODES
from eventstore import middleware

logger = logging.getLogger(__name__)


class EarlyError(NamedTuple):
    """retry_after: seconds; 0 if a retry cannot succeed."""

    status: int
    detail: str
    retry_after: int = 0


def unreadable(status: int, error: BaseException | None) -> EarlyError:
    """For a parse error. The detail has the error's class but not its text."""
    # Needs Django set up, which it is not when gunicorn reads its settings.
    from config import problems

    reason = problems.title(type(error).__name__)
    logger.warning("malformed request: %s", reason)
    return EarlyError(status, f"Malformed request: {reason}.")


def response(error: EarlyError, path: str = "") -> HttpResponse:
    """The path of the request may be unknown, so the problem's instance is an empty reference,
    which means the requested URL."""
    from config import problems

    request = HttpRequest()
    request.path_info = problems.REGISTRY if path.startswith(problems.REGISTRY) else ""
    return middleware.answered(request, lambda request: _problem(request, error))


def serialized(error: EarlyError) -> bytes:
    """The whole HTTP response, after which the connection is closed."""
    found = response(error)
    found["Content-Length"], found["Connection"] = len(found.content), "close"
    found["Date"] = http_date()
    line = f"HTTP/1.1 {found.status_code} {found.reason_phrase}\r\n"
    return line.encode() + found.serialize_headers() + b"\r\n\r\n" + found.content


def _problem(request: HttpRequest, error: EarlyError) -> HttpResponse:
    from config import problems

    if error.status == 500:
        return problems.server_error(request)
    code = EARLY_CODES.get(error.status, "BadRequest")
    found = problems.response(request, error.status, code, error.detail)
    if error.retry_after:
        found["Retry-After"] = str(error.retry_after)
    return found
