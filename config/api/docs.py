"""The OpenAPI and AsyncAPI documents and a page for each. All scripts and styles come from this
server."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from config import middleware, problems
from config.api import asyncapi, asyncapi_page


class PageView(SpectacularSwaggerSplitView):
    """Swagger UI writes inline styles, so the policy allows these; inline scripts stay
    forbidden."""

    url_name = "openapi"
    schema = None

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response[middleware.HEADER] = f"{middleware.POLICY}; style-src 'self' 'unsafe-inline'"
        return response


@problems.read_only
def events(request: HttpRequest) -> HttpResponse:
    return JsonResponse(asyncapi.document())


@problems.read_only
def events_page(request: HttpRequest) -> HttpResponse:
    return render(request, "events.html", asyncapi_page.page(asyncapi.document()))


urlpatterns = [
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("asyncapi.json", events, name="asyncapi"),
    path("docs/", PageView.as_view(), name="docs"),
    path("docs/events/", events_page, name="events"),
]
