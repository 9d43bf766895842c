"""What browsers are told about every page, which runs only scripts of ours and stands in no frame;
and what only pages for people need."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

HEADER = "Content-Security-Policy"
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


class ContentSecurityPolicyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault(HEADER, POLICY)
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), geolocation=(), microphone=()"
        )
        return response


def is_for_people(request: HttpRequest) -> bool:
    """The admin is read in a browser; everything else by programs."""
    return request.path_info.startswith("/admin/")


class _ForPeople(MiddlewareMixin):
    """Programs have a token and no cookies: they are not kept waiting for what is made of these."""

    def __call__(self, request: HttpRequest) -> Any:
        return super().__call__(request) if is_for_people(request) else self.get_response(request)


class Sessions(_ForPeople, SessionMiddleware):
    pass


class Users(_ForPeople, AuthenticationMiddleware):
    pass


class Messages(_ForPeople, MessageMiddleware):
    pass
