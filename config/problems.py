"""Every error as problem details (RFC 9457): the API's errors and Django's own."""

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from django.apps import apps
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from access import admission, hashing
from config.web.early_codes import EARLY_CODES
from eventstore import middleware
from eventstore.aggregate import CommandRejected
from eventstore.api import problems as api_problems
from eventstore.api import schema_registry
from eventstore.api.errors import Hidden
from eventstore.api.problems import MEDIA_TYPE, Problem
from eventstore.api.problems import title as title

audit = logging.getLogger("audit")

# Registered with IANA, so that generic clients know it.
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
# Of errors that are neither rejections nor the framework's.
OTHER_CODES = (
    "BadRequest",
    "Busy",
    "DatabaseUnavailable",
    "Draining",
    "InternalServerError",
    "InvalidMessage",
    "InvalidStreamName",
    "KeyReused",
    "MigrationsMissing",
    "NoSocket",
    "Stale",
    "StillRunning",
    "Unstorable",
    "WrongExpectedVersion",
)
# Everything else is for programs.
PAGES = "/admin/"
# Its clients read errors otherwise.
REGISTRY = "/api/registry/"


def exception_handler(error: Exception, about: Mapping[str, Any]) -> Response | None:
    """The API's response to an error. None for an unexpected error, which Django logs and
    re-raises."""
    problem = _problem(error)
    if problem is None:
        return None
    request = about["request"]
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
    return api_problems.response(request, problem, _body(request, problem))


def codes() -> list[str]:
    """The codes of all problems that the API can answer with."""
    ours = {each.name.partition(".")[0] for each in apps.get_app_configs()} | {"config"}
    bases: tuple[type, ...] = (CommandRejected, exceptions.APIException)
    errors: Iterator[str] = (
        each.__name__
        for base in bases
        for each in _subclasses(base)
        if each.__module__.partition(".")[0] in ours
    )
    return sorted({*errors, *OTHER_CODES, *EARLY_CODES.values()})


def _subclasses(base: type) -> Iterator[type]:
    classes: list[type] = type.__subclasses__(base)
    for each in classes:
        yield each
        yield from _subclasses(each)


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


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_for_people(request):
        return defaults.bad_request(request, exception)
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
    return response(request, 404, "NotFound", "Nothing has this address, or it is not yours.")


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
    match error:
        case hashing.Busy():
            about = str(type(error).__doc__)
            return api_problems.retry(503, type(error).__name__, about, hashing.RETRY_SECONDS)
    return api_problems.problem_of(error)


def _response(request: HttpRequest, problem: Problem) -> HttpResponse:
    headers = dict(problem.headers)
    if request.path_info.startswith(REGISTRY):
        body = {"error_code": problem.status, "message": problem.detail}
        media_type = schema_registry.MEDIA_TYPE
        return JsonResponse(body, status=problem.status, content_type=media_type, headers=headers)
    return JsonResponse(
        _body(request, problem), status=problem.status, content_type=MEDIA_TYPE, headers=headers
    )


def _body(request: HttpRequest | Request, problem: Problem) -> dict[str, Any]:
    ids = {"request_id": middleware.request_id(), "trace_id": middleware.trace_id()}
    return api_problems.body(request, problem._replace(more=ids | dict(problem.more)))
