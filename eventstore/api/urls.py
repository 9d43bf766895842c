"""The addresses that the event store itself answers at. A project includes them where it likes:
`path("api/", include("eventstore.api.urls"))`."""

from django.urls import path

from .deferred import URL_NAME, DeferredCommandView

urlpatterns = [
    path("commands/<uuid:command_id>/", DeferredCommandView.as_view(), name=URL_NAME),
]
