"""Middleware: response headers, and the parts of Django that only pages for people need."""

from collections.abc import Callable
from math import ceil
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from access import admission, hashing
from config import admin_login, problems

# Addresses of the API that end with a slash.
SLASHED = ("/api/auth/", "/api/commands/", "/api/queries/", "/api/webhooks/")

HEADER = "Content-Security-Policy"
# Only scripts from this server run, and no page is framed.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


class _Middleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response


class ContentSecurityPolicyMiddleware(_Middleware):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault(HEADER, POLICY)
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), geolocation=(), microphone=()"
        )
        return response


class OptionalSlashMiddleware(_Middleware):
    """The slash at the end of an address of the API is optional: without it, a POST would be 404,
    and a GET would cost a redirect."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.endswith("/") and request.path_info.startswith(SLASHED):
            request.path_info += "/"
            request.path += "/"
        return self.get_response(request)


class BodilessMiddleware(_Middleware):
    """No headers about content where there is none: Django sets Content-Length for every response,
    but a 204 has none and a 304 would need that of the 200 (RFC 9110, 8.6)."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code in (204, 304):
            del response["Content-Length"]
            del response["Content-Type"]
        return response


class RateLimitMiddleware(_Middleware):
    """For each limit that the request was counted for, the remaining requests (r) and the seconds
    until the limit resets (t)."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        quotas: list[admission.Quota] = vars(request).get("quotas", [])
        if quotas:
            response["RateLimit-Policy"] = ", ".join(
                f'"{each.policy}";q={each.most};w={each.seconds}' for each in quotas
            )
            response["RateLimit"] = ", ".join(
                f'"{each.policy}";r={max(0, each.most - each.counted.number)}'
                f";t={ceil(each.counted.left)}"
                for each in quotas
            )
        return response


class BusyMiddleware(_Middleware):
    """Responds 503 when too many passwords are being checked."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, hashing.Busy):
            return None
        if problems.is_for_people(request):
            return admin_login.retry_later(
                request, 503, hashing.RETRY_SECONDS, "Too many login attempts at the same time."
            )
        return problems.busy(request)


class UnstorableMiddleware(_Middleware):
    """Nothing has a key with a character that PostgreSQL cannot store: 404 for a page of such a
    key."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, DataError) and "NUL" in str(error):
            return problems.not_found(request, error)
        return None


class _ForPeople(MiddlewareMixin):
    """Skipped for programs: they send a token and no cookies, and should not wait for sessions."""

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(problems.PAGES):
            return super().__call__(request)
        return self.get_response(request)


class Sessions(_ForPeople, SessionMiddleware):
    pass


class Users(_ForPeople, AuthenticationMiddleware):
    pass


class Messages(_ForPeople, MessageMiddleware):
    pass
