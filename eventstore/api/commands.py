"""A command endpoint: read the body, dispatch, answer 202 with where its subject stands and where to ask for it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.http import HttpResponse
from django.views.decorators.common import no_append_slash
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from eventstore import answers, bus, context, states
from eventstore.aggregate import Refusal, stream_name
from eventstore.answers import Answer
from eventstore.messages import Command, Metadata, replace
from eventstore.store import Appended, NewEvent, Owed

from . import idempotency, preconditions
from .faults import LengthRequired
from .shapes import Shape

# Writes what was decided, and keeps the answer with it.
Keep = Callable[[Answer, Sequence[NewEvent], Sequence[Owed]], Appended]


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

    def post(self, request: Request, **named: str) -> HttpResponse:
        if "Transfer-Encoding" in request.headers:
            raise LengthRequired
        key, seen = idempotency.key(request), preconditions.if_match(request)
        earlier = answers.find(key) if key else None
        if earlier is not None:
            return idempotency.replayed(earlier)
        body = self.serializer_class(data=request.data)
        body.is_valid(raise_exception=True)
        command = self.command(**named, **body.validated_data)
        if key is None:
            return _response(self._decided(command, seen, None))
        try:
            return _response(self._decided(command, seen, partial(answers.write, key)))
        except Refusal as refusal:
            return self._refused(key, refusal)
        except answers.AlreadyAnswered as already:
            return idempotency.replayed(already.answer)

    def _decided(self, command: Command, seen: preconditions.Versions | None, keep: Keep | None) -> Answer:
        outcome = bus.dispatch(
            command,
            metadata=_asked_by(self.request.user),
            seen=seen,
            writes=(lambda outcome: partial(keep, self._accepted(command, outcome))) if keep else None,
        )
        return self._accepted(command, outcome).at(outcome.position)

    def _accepted(self, command: Command, outcome: bus.Outcome) -> Answer:
        key = getattr(command, self.subject)
        said = {self.subject: key, "version": outcome.version, "position": None, "status": "PROCESSING"}
        return _answer(202, said, {"Location": f"{self.asked_at}{key}/"})

    def _refused(self, key: answers.Key, refusal: Refusal) -> HttpResponse:
        """A refusal is an answer too: who asks again under the key is told the same, whatever has changed since."""
        problem = self.handle_exception(refusal)
        answer = _answer(problem.status_code, problem.data, {"Content-Type": str(problem.content_type)})
        try:
            answers.keep(key, answer)
        except answers.AlreadyAnswered as already:
            return idempotency.replayed(already.answer)
        return _response(answer)


def known(category: str, key: str) -> Any:
    """The state of what a command is about, from its own events; 404 when there are none."""
    stream = stream_name(category, key)
    version, state = states.load([stream])[stream]
    if version == 0:
        raise NotFound
    return state


def _asked_by(user: Any) -> Metadata:
    return replace(context.current(), actor=user.get_username())


def _answer(status: int, said: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    body = JSONRenderer().render(said).decode()
    return Answer(status, {"Content-Type": JSONRenderer.media_type} | dict(headers), body)


def _response(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, headers=answer.headers)
