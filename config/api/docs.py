"""The API's own description, and a page to read it and to try it; all of it from here."""

from typing import Any

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from config import browsers


class PageView(SpectacularSwaggerSplitView):
    """The script that it brings writes styles into the page; other scripts than ours still do not run."""

    url_name = "openapi"
    schema = None

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response[browsers.HEADER] = f"{browsers.POLICY}; style-src 'self' 'unsafe-inline'"
        return response


urlpatterns = [
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("docs/", PageView.as_view()),
]
