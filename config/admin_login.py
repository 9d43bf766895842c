"""The pages of the console that take a password. Attempts are counted together with those at the
API."""

from math import ceil

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from access import admission


def login(request: HttpRequest) -> HttpResponse:
    return _exceeded(request, request.POST.get("username", "")) or admin.site.login(request)


def password_change(request: HttpRequest) -> HttpResponse:
    """The page asks for the old password, which could be guessed here as well."""
    return _exceeded(request, request.user.get_username()) or admin.site.password_change(request)


def retry_later(request: HttpRequest, status: int, seconds: int, title: str) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": title, "seconds": seconds}
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    return TemplateResponse(request, "later.html", context, status=status, headers=headers).render()


def _exceeded(request: HttpRequest, username: str) -> HttpResponse | None:
    """The 429 page if this attempt exceeds a limit. Only a POST is an attempt."""
    if request.method != "POST":
        return None
    exceeded = admission.count_login(request, username)
    if exceeded is None:
        return None
    return retry_later(request, 429, ceil(exceeded.counted.left), "Too many login attempts.")


# Before the admin's own, which have the same paths.
urlpatterns = [
    path("login/", login),
    path("password_change/", admin.site.admin_view(password_change, cacheable=True)),
]
