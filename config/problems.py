"""Every error as problem details (RFC 9457): the API's errors and Django's own."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from itertools import islice
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from access import admission, hashing
from eventstore import log, middleware
from eventstore.aggregate import CommandRejected
from eventstore.api.errors import Fault, Hidden, Malformed, inside
from eventstore.codec import Unstorable
from eventstore.commands import idempotency
from eventstore.commands.bus import Stale
from eventstore.log import InvalidStreamName, WrongExpectedVersion
from eventstore.messages import InvalidMessage

logger = logging.getLogger(__name__)
audit = logging.getLogger("audit")

MEDIA_TYPE = "application/problem+json"
JSON = JSONRenderer()
MOST_ERRORS = 100
# Registered with IANA, so that generic clients know it.
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
# Everything else is for programs.
PAGES = "/admin/"


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
    """The API's response to an error. None for an unexpected error, which Django logs and
    re-raises."""
    problem = _problem(error)
    if problem is None:
        return None
    request = about["request"]
    # Errors are JSON, whatever the view renders and the client accepts.
    request.accepted_renderer, request.accepted_media_type = JSON, JSON.media_type
    if problem.status in (401, 403) or isinstance(error, Hidden):
        # Values from the client are escaped, so that they cannot forge lines.
        audit.warning(
            "denied %s %r to %r: %s, answered %s",
            request.method,
            request.path,
            getattr(request.user, "username", "") or "anonymous",
            type(error).__name__,
            problem.status,
        )
    if isinstance(error, exceptions.Throttled):
        violated = admission.violated(request)
        problem = problem._replace(more={"type": QUOTA_EXCEEDED, "violated-policies": violated})
    return Response(
        _body(request, problem),
        status=problem.status,
        headers=dict(problem.headers),
        content_type=MEDIA_TYPE,
    )


def response(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    return _response(request, Problem(status, code, detail))


def is_for_people(request: HttpRequest) -> bool:
    return request.path_info.startswith(PAGES)


def read_only(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """For views outside of DRF: another method than GET and HEAD is 405, without a check of the
    CSRF token."""

    @csrf_exempt
    @wraps(view)
    def checked(request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return view(request)
        problem = _problem(exceptions.MethodNotAllowed(str(request.method)))
        assert problem is not None
        return _response(request, problem._replace(headers={"Allow": "GET, HEAD"}))

    return checked


def title(code: str) -> str:
    """The same for all problems of a type: "Price changed" for PriceChanged."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", code).capitalize()


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig):
        return response(request, 413, "BodyTooLarge", "The request body is too large.")
    return response(request, 400, "BadRequest", "The request is invalid.")


def busy(request: HttpRequest) -> HttpResponse:
    problem = _problem(hashing.Busy())
    assert problem is not None
    return _response(request, problem)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_for_people(request):
        return defaults.permission_denied(request, exception)
    return response(request, 403, "PermissionDenied", "Permission denied.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_for_people(request):
        return defaults.page_not_found(request, exception)
    return response(request, 404, "NotFound", "No view has this URL.")


def server_error(request: HttpRequest) -> HttpResponse:
    if is_for_people(request):
        return defaults.server_error(request)
    return response(
        request,
        500,
        "InternalServerError",
        "Internal server error. Quote the correlation id when reporting it.",
    )


def _problem(error: Exception) -> Problem | None:
    name, about = type(error).__name__, " ".join((type(error).__doc__ or "").split())
    match error:
        case CommandRejected():
            return Problem(409, error.code, error.detail)
        case WrongExpectedVersion():
            return _retry(409, name, "The resource was changed concurrently. Retry the request.")
        case Stale():
            detail = f"The resource has another version than If-Match: {error}"
            return Problem(412, name, detail, more={"current_version": error.actual})
        case idempotency.StillRunning():
            return _retry(409, name, about)
        case idempotency.KeyReused():
            return Problem(422, name, about)
        case hashing.Busy():
            return _retry(503, name, about, hashing.RETRY_SECONDS)
        case InvalidMessage() | InvalidStreamName() | Unstorable():
            return Problem(400, name, str(error), (Fault("#", str(error), "invalid"),))
        case Http404() | Hidden():
            return _problem(exceptions.NotFound())
        case PermissionDenied():
            return _problem(exceptions.PermissionDenied())
        case OperationalError() | InterfaceError():
            logger.exception("database error")
            detail = "The database is unavailable. Retry in a moment."
            return _retry(503, "DatabaseUnavailable", detail)
        case exceptions.ValidationError():
            faults = tuple(_faults(error.detail, "#"))
            return Problem(400, name, "Some parts of the request are invalid.", faults)
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


def _retry(status: int, code: str, detail: str, seconds: int = 1) -> Problem:
    return Problem(status, code, detail, headers={"Retry-After": str(seconds)})


def _faults(detail: Any, pointer: str) -> Iterator[Fault]:
    """One for each of DRF's errors, which are nested like the request."""
    if isinstance(detail, dict):
        for name, each in detail.items():
            yield from _faults(
                each, pointer if name == "non_field_errors" else inside(pointer, name)
            )
    elif isinstance(detail, list):
        for index, each in enumerate(detail):
            yield from _faults(
                each,
                pointer if isinstance(each, exceptions.ErrorDetail) else inside(pointer, index),
            )
    else:
        yield Fault(pointer, str(detail), detail.code)


def _response(request: HttpRequest, problem: Problem) -> HttpResponse:
    headers = dict(problem.headers)
    return JsonResponse(
        _body(request, problem), status=problem.status, content_type=MEDIA_TYPE, headers=headers
    )


def _body(request: HttpRequest | Request, problem: Problem) -> dict[str, Any]:
    return {
        "type": f"urn:problem-type:orders:{problem.code}",
        "title": title(problem.code),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
        "code": problem.code,
        "errors": [fault._asdict() for fault in islice(problem.errors, MOST_ERRORS)],
        "correlation_id": str(log.current_metadata().correlation_id),
        "request_id": middleware.request_id(),
        "trace_id": middleware.trace_id(),
        **problem.more,
    }
