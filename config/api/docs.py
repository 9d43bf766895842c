"""The API's own description, of requests and of events, and a page to read each; all of it from
here."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from config import middleware as browsers
from config import problems
from config.api import asyncapi
from config.api import asyncapi_page as reading


class PageView(SpectacularSwaggerSplitView):
    """The script that it brings writes styles into the page; other scripts than ours still do not
    run."""

    url_name = "openapi"
    schema = None

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response[browsers.HEADER] = f"{browsers.POLICY}; style-src 'self' 'unsafe-inline'"
        return response


@problems.read_only
def events(request: HttpRequest) -> HttpResponse:
    return JsonResponse(asyncapi.document())


@problems.read_only
def events_page(request: HttpRequest) -> HttpResponse:
    return render(request, "events.html", reading.page(asyncapi.document()))


urlpatterns = [
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("asyncapi.json", events, name="asyncapi"),
    path("docs/", PageView.as_view(), name="docs"),
    path("docs/events/", events_page, name="events"),
]
