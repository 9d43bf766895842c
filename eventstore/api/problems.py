"""The errors of the event store, and those of DRF, as problem details (RFC 9457). The views of
`eventstore.api` answer with them; for all views, a project sets REST_FRAMEWORK["EXCEPTION_HANDLER"]
to `eventstore.api.problems.exception_handler`."""

import logging
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from eventstore import log, settings
from eventstore.aggregate import CommandRejected
from eventstore.codec import Unstorable
from eventstore.commands import idempotency
from eventstore.commands.bus import Stale
from eventstore.log import InvalidStreamName, WrongExpectedVersion
from eventstore.messages import InvalidMessage

from .errors import Fault, Hidden, Malformed, faults

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
JSON = JSONRenderer()
MOST_ERRORS = 100


class Problem(NamedTuple):
    """code: stable; the name of the error's class. errors: the invalid parts of the request.

    more: extension members of this problem type; also "type", if it is not a type of this API.
    """

    status: int
    code: str
    detail: str
    errors: tuple[Fault, ...] = ()
    headers: Mapping[str, str] = {}
    more: Mapping[str, Any] = {}


def exception_handler(error: Exception, about: Mapping[str, Any]) -> Response | None:
    """The response to an error. None for an unexpected error, which Django logs and re-raises."""
    problem, request = problem_of(error), about["request"]
    return None if problem is None else response(request, problem, body(request, problem))


def response(request: Request, problem: Problem, json: Mapping[str, Any]) -> Response:
    """json: the body, with whatever members a project adds to it."""
    # Errors are JSON, whatever the view renders and the client accepts.
    request.accepted_renderer, request.accepted_media_type = JSON, JSON.media_type
    return Response(
        json,
        status=problem.status,
        headers=dict(problem.headers),
        content_type=MEDIA_TYPE,
    )


def problem_of(error: Exception) -> Problem | None:
    """None for an unexpected error."""
    name, about = type(error).__name__, " ".join((type(error).__doc__ or "").split())
    match error:
        case CommandRejected():
            return Problem(409, error.code, error.detail)
        case WrongExpectedVersion():
            return retry(409, name, "The resource was changed concurrently. Retry the request.")
        case Stale():
            detail = f"The resource has another version than If-Match: {error}"
            return Problem(412, name, detail, more={"current_version": error.actual})
        case idempotency.StillRunning():
            return retry(409, name, about)
        case idempotency.KeyReused():
            return Problem(422, name, about)
        case InvalidMessage() | InvalidStreamName() | Unstorable():
            return Problem(400, name, str(error), (Fault("#", str(error), "invalid"),))
        case Http404() | Hidden():
            return problem_of(exceptions.NotFound())
        case PermissionDenied():
            return problem_of(exceptions.PermissionDenied())
        case DataError() if "NUL" in str(error):
            # Nothing has a key with a character that PostgreSQL cannot store.
            return problem_of(exceptions.NotFound())
        case OperationalError() | InterfaceError():
            logger.exception("database error")
            return retry(
                503, "DatabaseUnavailable", "The database is unavailable. Retry in a moment."
            )
        case exceptions.ValidationError():
            return Problem(400, name, "Some parts of the request are invalid.", faults(error))
        case Malformed():
            return Problem(400, name, str(error.detail), error.faults)
        case exceptions.APIException():
            headers = {
                "WWW-Authenticate": getattr(error, "auth_header", None),
                "Retry-After": getattr(error, "wait", None),
            }
            given = {header: str(value) for header, value in headers.items() if value is not None}
            return Problem(error.status_code, name, str(error.detail), headers=given)
    return None


def retry(status: int, code: str, detail: str, seconds: int = 1) -> Problem:
    return Problem(status, code, detail, headers={"Retry-After": str(seconds)})


def title(code: str) -> str:
    """The same for all problems of a type: "Price changed" for PriceChanged."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", code).capitalize()


def body(request: HttpRequest | Request, problem: Problem) -> dict[str, Any]:
    return {
        "type": f"{settings.problem_types()}{problem.code}",
        "title": title(problem.code),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
        "code": problem.code,
        "errors": [fault.as_error() for fault in islice(problem.errors, MOST_ERRORS)],
        "correlation_id": str(log.current_metadata().correlation_id),
        **problem.more,
    }
