"""The registry alone, for tests whose wiring is that of the toy."""

from django.urls import include, path

urlpatterns = [path("api/registry/", include("config.api.urls_registry"))]
