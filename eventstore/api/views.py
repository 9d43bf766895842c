"""What all views of the event store have in common."""

from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string
from rest_framework import views

HANDLER = "eventstore.api.problems.exception_handler"


class EventStoreView(views.APIView):
    """A view whose errors are problem details, also in a project that has no exception handler of
    its own: DRF's would answer 500 to a refused command."""

    def get_exception_handler(self) -> Callable[..., Any]:
        given = super().get_exception_handler()
        handler: Callable[..., Any] = (
            import_string(HANDLER) if given is views.exception_handler else given
        )
        return handler
