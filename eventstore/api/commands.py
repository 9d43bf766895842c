"""A command endpoint: read the body, dispatch, answer 202 with where its subject stands and where to ask for it."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.views.decorators.common import no_append_slash
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventstore import bus, context, states
from eventstore.aggregate import stream_name
from eventstore.messages import Command, Metadata, replace

from .faults import LengthRequired
from .shapes import Shape


class Nothing(Shape):
    """No members at all."""


class CommandView(APIView):
    """command: the URL's and the body's parts -> the command. subject: the command's field that names what it is about.

    asked_at: the query that tells about the subject. The query side may be deployed elsewhere, so that its address is
    written down here and not looked up.
    """

    serializer_class: type[Shape] = Nothing
    command: Callable[..., Command]
    subject: ClassVar[str]
    asked_at: ClassVar[str]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        # A redirect to the address with a slash would turn the POST into a GET.
        return no_append_slash(super().as_view(**initkwargs))

    def post(self, request: Request, **named: str) -> Response:
        if "Transfer-Encoding" in request.headers:
            raise LengthRequired
        body = self.serializer_class(data=request.data)
        body.is_valid(raise_exception=True)
        command = self.command(**named, **body.validated_data)
        return self._accepted(command, bus.dispatch(command, metadata=_asked_by(request.user)))

    def _accepted(self, command: Command, outcome: bus.Outcome) -> Response:
        key = getattr(command, self.subject)
        answer = {
            self.subject: key,
            "version": outcome.version,
            "position": outcome.position,
            "status": "PROCESSING",
        }
        return Response(answer, status=202, headers={"Location": f"{self.asked_at}{key}/"})


def known(category: str, key: str) -> Any:
    """The state of what a command is about, from its own events; 404 when there are none."""
    stream = stream_name(category, key)
    version, state = states.load([stream])[stream]
    if version == 0:
        raise NotFound
    return state


def _asked_by(user: Any) -> Metadata:
    return replace(context.current(), actor=user.get_username())
