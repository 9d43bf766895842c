"""The status of a deferred command (`Prefer: respond-async`)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.urls import NoReverseMatch, reverse
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from eventstore import settings
from eventstore.commands import deferred

from .errors import Hidden
from .reading import serialize
from .serializers import OpenChoice
from .views import EventStoreView

# In the project's URLs; see urls.py.
URL_NAME = "eventstore-deferred-command"


def status_url(command_id: UUID) -> str | None:
    """Where its status can be queried. None in a project that has no such address: it cannot defer
    commands."""
    if base := settings.command_status_url():
        return f"{base}{command_id}/"
    try:
        return reverse(URL_NAME, args=[command_id])
    except NoReverseMatch:
        return None


class DeferredCommandAnswer(serializers.Serializer):
    """location: where to query the command's object. version, position: what to send with that
    query as X-Min-Version and Min-Position, once the command has succeeded."""

    command_id = serializers.UUIDField()
    status = OpenChoice(["PENDING", "SUCCEEDED", "REFUSED", "FAILED"])
    location = serializers.CharField()
    version = serializers.IntegerField()
    position = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()


class DeferredCommandView(EventStoreView):
    """The status of a deferred command. It is there as soon as the command was accepted."""

    serializer_class = DeferredCommandAnswer
    # Whether a user may see the commands of other users.
    sees_all: Callable[[Any], bool] = staticmethod(lambda user: False)

    def get(self, request: Request, command_id: UUID) -> Response:
        # From the primary database.
        command = deferred.find(command_id)
        if command is None:
            raise NotFound
        if command.principal != principal(request.user) and not self.sees_all(request.user):
            raise Hidden
        headers = {"Cache-Control": "private, no-store"}
        if command.status == "PENDING":
            headers["Retry-After"] = "1"
        body = serialize(self.serializer_class, {"command_id": command_id} | command._asdict())
        return Response(body, headers=headers)


def principal(user: Any) -> str:
    """The id under which a user's deferred commands are stored; never given to another account.

    The project's authentication sets `user.principal`. Without it, this is the account's primary
    key.
    """
    return getattr(user, "principal", "") or str(user.pk)
