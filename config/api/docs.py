"""The OpenAPI and AsyncAPI documents and a page for each. All scripts and styles come from this
server."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from config import middleware, problems
from config.api import asyncapi, asyncapi_page
from config.api.documents import CachedDocument
from eventstore.api.openapi import open_text


class PageView(SpectacularSwaggerSplitView):
    """Swagger UI writes inline styles, so the policy allows these; inline scripts stay
    forbidden."""

    url_name = "openapi"
    schema = None

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response[middleware.HEADER] = f"{middleware.POLICY}; style-src 'self' 'unsafe-inline'"
        return response


def openapi_document() -> dict[str, Any]:
    """The same for every client, whoever asks."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call, no-any-return]


def without_slashes(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular: the addresses in the form without the slash at the
    end, which is optional."""
    result["paths"] = {
        address.rstrip("/"): operations for address, operations in result["paths"].items()
    }
    return result


def name_codes(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular: the codes that a problem may have."""
    result["components"]["schemas"]["Problem"]["properties"]["code"] = open_text(problems.codes())
    return result


OPENAPI = CachedDocument(openapi_document)
ASYNCAPI = CachedDocument(asyncapi.document)


@problems.read_only
def openapi(request: HttpRequest) -> HttpResponse:
    return OPENAPI.response(request)


@problems.read_only
def events(request: HttpRequest) -> HttpResponse:
    return ASYNCAPI.response(request)


@problems.read_only
def events_page(request: HttpRequest) -> HttpResponse:
    return render(request, "events.html", _events_page())


@cache
def _events_page() -> Any:
    return asyncapi_page.page(asyncapi.document())


urlpatterns = [
    path("openapi.json", openapi, name="openapi"),
    path("asyncapi.json", events, name="asyncapi"),
    path("docs/", PageView.as_view(), name="docs"),
    path("docs/events/", events_page, name="events"),
]
