"""What became of a command that a client left to be decided by a worker."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventstore.commands import deferred

from . import serializers as shapes
from .errors import Hidden
from .principal import principal


class DeferredCommandAnswer(serializers.Serializer):
    """location: where to ask about its subject. version, position: what to have seen there, once it
    has succeeded."""

    command_id = serializers.UUIDField()
    status = serializers.ChoiceField(["PENDING", "SUCCEEDED", "REFUSED", "FAILED"])
    location = serializers.CharField()
    version = serializers.IntegerField()
    position = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()


class DeferredCommandView(APIView):
    """Asked of the primary, never of a replica: whoever left a command can ask for it at once.

    sees_all: whether a user may see the commands of others.
    """

    serializer_class = DeferredCommandAnswer
    sees_all: Callable[[Any], bool] = staticmethod(lambda user: False)

    def get(self, request: Request, id_: UUID) -> Response:
        found = deferred.find(id_)
        if found is None:
            raise NotFound
        if not self._may_see(found):
            raise Hidden
        headers = {"Cache-Control": "private, no-store"} | (
            {"Retry-After": "1"} if found.status == "PENDING" else {}
        )
        said = shapes.serialize(self.serializer_class, {"command_id": id_} | found._asdict())
        return Response(said, headers=headers)

    def _may_see(self, found: deferred.DeferredCommand) -> bool:
        return found.principal == principal(self.request.user) or self.sees_all(self.request.user)
