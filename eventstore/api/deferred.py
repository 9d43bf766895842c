"""The status of a deferred command (`Prefer: respond-async`)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventstore.commands import deferred

from .errors import Hidden
from .serializers import serialize

STATUS_URL = "/api/queries/commands/"


class DeferredCommandAnswer(serializers.Serializer):
    """location: where to query the command's object. version, position: what to send with that
    query as X-Min-Version and Min-Position, once the command has succeeded."""

    command_id = serializers.UUIDField()
    status = serializers.ChoiceField(["PENDING", "SUCCEEDED", "REFUSED", "FAILED"])
    location = serializers.CharField()
    version = serializers.IntegerField()
    position = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()


class DeferredCommandView(APIView):
    """Read from the primary database, so that the status is there as soon as the command was
    accepted.

    sees_all: whether a user may see the commands of other users.
    """

    serializer_class = DeferredCommandAnswer
    sees_all: Callable[[Any], bool] = staticmethod(lambda user: False)

    def get(self, request: Request, id_: UUID) -> Response:
        command = deferred.find(id_)
        if command is None:
            raise NotFound
        if command.principal != principal(request.user) and not self.sees_all(request.user):
            raise Hidden
        headers = {"Cache-Control": "private, no-store"}
        if command.status == "PENDING":
            headers["Retry-After"] = "1"
        body = serialize(self.serializer_class, {"command_id": id_} | command._asdict())
        return Response(body, headers=headers)


def principal(user: Any) -> str:
    """The id under which a user's deferred commands are stored; never given to another account.

    The project's authentication sets `user.principal`. Without it, this is the account's primary
    key.
    """
    return getattr(user, "principal", "") or str(user.pk)
