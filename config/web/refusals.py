"""Problem details for requests that never reach Django: what cannot be read, what is too large,
what comes too late.

Nothing of what was sent is repeated, to the client or in the log: there may be a token in it.
"""

import logging
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date

from eventstore import middleware

logger = logging.getLogger(__name__)

CODES = {
    400: "BadRequest",
    408: "RequestTimeout",
    413: "BodyTooLarge",
    414: "AddressTooLong",
    417: "ExpectationFailed",
    431: "HeadersTooLarge",
    501: "UnsupportedTransferCoding",
    503: "Overloaded",
}


class Refusal(NamedTuple):
    """retry_after: seconds, 0 where the same request will never be taken."""

    status: int
    detail: str
    retry_after: int = 0


def unreadable(status: int, error: BaseException | None) -> Refusal:
    """The answer to a parse error. It names the error's class and never its text."""
    from config import (
        problems,  # needs Django set up, which it is not yet where gunicorn reads its settings
    )

    what = problems.title(type(error).__name__)
    logger.warning("a request cannot be read: %s", what)
    return Refusal(status, f"The request cannot be read. {what}.")


def answer(refusal: Refusal) -> HttpResponse:
    """To a request of which nothing is known; its address in the answer is empty, which means the
    one asked for."""
    return middleware.answered(HttpRequest(), lambda unknown: _problem(unknown, refusal))


def written(refusal: Refusal) -> bytes:
    """The whole answer as bytes, after which the connection is closed."""
    response = answer(refusal)
    response["Content-Length"], response["Connection"] = len(response.content), "close"
    response["Date"] = http_date()
    line = f"HTTP/1.1 {response.status_code} {response.reason_phrase}\r\n"
    return line.encode() + response.serialize_headers() + b"\r\n\r\n" + response.content


def _problem(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    from config import problems

    if refusal.status == 500:
        return problems.server_error(request)
    response = problems.response(
        request, refusal.status, CODES.get(refusal.status, "BadRequest"), refusal.detail
    )
    if refusal.retry_after:
        response["Retry-After"] = str(refusal.retry_after)
    return response
