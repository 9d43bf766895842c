"""Where the console asks for a password: the guesses are counted together with those at the API,
and told on a page."""

from collections.abc import Callable
from math import ceil

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from access import hashing, throttling
from config import middleware as browsers
from config import problems


class BusyMiddleware:
    """Answers 503 with a page when too many passwords are being checked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, hashing.Busy):
            return None
        if browsers.is_for_people(request):
            return _later(request, 503, hashing.RETRY_SECONDS, "Too many people log in at once.")
        return problems.busy(request)


def login(request: HttpRequest) -> HttpResponse:
    if request.method == "POST" and (
        late := throttling.guess(request, request.POST.get("username", ""))
    ):
        return _too_many_guesses(request, late)
    return admin.site.login(request)


def password_change(request: HttpRequest) -> HttpResponse:
    """It asks for the old password, which could be guessed here as well."""
    if request.method == "POST" and (
        late := throttling.guess(request, request.user.get_username())
    ):
        return _too_many_guesses(request, late)
    return admin.site.password_change(request)


def _too_many_guesses(request: HttpRequest, late: throttling.Quota) -> HttpResponse:
    return _later(request, 429, ceil(late.counted.left), "Too many attempts to log in.")


def _later(request: HttpRequest, status: int, seconds: int, what: str) -> HttpResponse:
    said = {**admin.site.each_context(request), "title": what, "seconds": seconds}
    return TemplateResponse(
        request,
        "later.html",
        said,
        status=status,
        headers={"Retry-After": str(seconds), "Cache-Control": "no-store"},
    ).render()


# In front of the admin's own, which have the same addresses.
urlpatterns = [
    path("login/", login),
    path("password_change/", admin.site.admin_view(password_change, cacheable=True)),
]
