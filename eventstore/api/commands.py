"""A command endpoint: read the body, dispatch, answer 202 with where its subject stands and where
to ask for it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.views.decorators.common import no_append_slash
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.views import APIView

from eventstore import codec, log
from eventstore.aggregate import CommandRejected, stream_name
from eventstore.commands import bus, deferred, repository
from eventstore.commands import idempotency as answers
from eventstore.commands.idempotency import StoredResponse
from eventstore.log import Appended, OutgoingMessage, context
from eventstore.messages import Command, Metadata, replace

from . import conditional as preconditions
from . import errors as faults
from . import idempotency
from . import prefer as preferences
from . import read_your_writes as freshness
from . import serializers as shapes
from .principal import principal
from .serializers import StrictSerializer

# Writes what was decided, and keeps the answer with it.
Keep = Callable[..., Appended]


# Where to ask what became of a command that was left with us.
STATUS_URL = "/api/queries/commands/"

APPLIED = "Preference-Applied"


class Nothing(StrictSerializer):
    """No members at all."""


class CommandView(APIView):
    """command: the URL's and the body's parts -> the command. subject: the command's field that
    names what it is about.

    query_url: the query that tells about the subject. The query side may be deployed elsewhere, so
    that its address is written down here and not looked up.
    """

    serializer_class: type[StrictSerializer] = Nothing
    key: answers.IdempotencyKey | None = None
    command: Callable[..., Command]
    id_field: ClassVar[str]
    query_url: ClassVar[str]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        # A redirect to the address with a slash would turn the POST into a GET.
        return no_append_slash(super().as_view(**initkwargs))

    def post(self, request: Request, **named: str) -> HttpResponse:
        faults.demand_length(request)
        key = self.key = idempotency.key(request)
        try:
            answer = self._answer(key, **named)
        except answers.AlreadyAnswered as already:
            answer = idempotency.replayed(already.answer)
        except Exception:
            # Asked again, it may be refused what it was granted the first time; then that is what
            # is said again.
            earlier = answers.find(key) if key else None
            if earlier is None:
                raise
            answer = idempotency.replayed(earlier)
        return _response(answer, preferences.returned(request))

    def new_id(self) -> str:
        """Of what the request begins, such as an order; the same for each repeat under the same
        key."""
        return idempotency.new_id(self.key)

    def _answer(self, key: answers.IdempotencyKey | None, **named: str) -> StoredResponse:
        seen = preconditions.if_match(self.request)
        command = self.command(**named, **shapes.read(self.serializer_class, self.request.data))
        keep = partial(answers.write, key) if key else None
        # What was decided on a certain version is decided while the client waits, who may have to
        # decide anew.
        if seen is None and "respond-async" in preferences.preferred(self.request):
            return self._left(command, keep)
        try:
            return self._decided(command, seen, keep)
        except CommandRejected as refusal:
            if key is None:
                raise
            return self._refused(key, refusal)

    def _decided(
        self, command: Command, seen: preconditions.Versions | None, keep: Keep | None
    ) -> StoredResponse:
        outcome = bus.dispatch(
            command,
            metadata=_asked_by(self.request.user),
            seen=seen,
            writes=(lambda outcome: partial(keep, self._accepted(command, outcome)))
            if keep
            else None,
        )
        return self._accepted(command, outcome).at(outcome.position)

    def _accepted(self, command: Command, outcome: bus.Outcome) -> StoredResponse:
        key = getattr(command, self.id_field)
        # Where nothing is recorded, it is known what the answer rests on before the answer is kept.
        position = None if outcome.events else outcome.position
        said = {
            self.id_field: key,
            "version": outcome.version,
            "position": position,
            "status": "PROCESSING",
        }
        return _answer(202, said, {"Location": f"{self.query_url}{key}/"})

    def _refused(self, key: answers.IdempotencyKey, refusal: CommandRejected) -> StoredResponse:
        """A refusal is an answer too: who asks again under the key is told the same, whatever has
        changed since."""
        problem = self.handle_exception(refusal)
        answer = _answer(
            problem.status_code, problem.data, {"Content-Type": str(problem.content_type)}
        )
        answers.keep(key, answer)
        return answer

    def _left(self, command: Command, keep: Keep | None) -> StoredResponse:
        """Owed to the workers, and decided by them; the client asks what became of it."""
        subject, answered = getattr(command, self.id_field), list[StoredResponse]()

        def write(id_: UUID, outgoing: Sequence[OutgoingMessage]) -> None:
            said = {"command_id": str(id_), self.id_field: subject, "status": "PENDING"}
            headers = {"Location": f"{STATUS_URL}{id_}/", APPLIED: "respond-async"}
            answered.append(_answer(202, said, headers))
            if keep:
                keep(answered[0], (), outgoing)
            else:
                log.write((), outgoing)

        deferred.defer(
            command,
            metadata=_asked_by(self.request.user),
            principal=principal(self.request.user),
            location=f"{self.query_url}{subject}/",
            write=write,
        )
        return answered[0]


def known(category: str, key: str) -> Any:
    """The state of what a command is about, from its own events; 404 when there are none."""
    version, state = repository.load_one(stream_name(category, key))
    if version == 0:
        raise NotFound
    return state


def _asked_by(user: Any) -> Metadata:
    return replace(context.current(), actor=user.get_username())


def _answer(status: int, said: Mapping[str, Any], headers: Mapping[str, str]) -> StoredResponse:
    body = codec.encode_json(said).decode()
    return StoredResponse(
        status, {"Content-Type": "application/json", "Vary": "Prefer"} | dict(headers), body
    )


def _response(answer: StoredResponse, returned: str) -> HttpResponse:
    """An answer is kept whole, and each request says whether it would be sent the body. An error
    always has one."""
    if answer.status != 202:
        return HttpResponse(answer.body, status=answer.status, headers=answer.headers)
    headers = answer.headers | _to_have_seen(answer.body) | _applied(answer, returned)
    response = HttpResponse(answer.body, status=answer.status, headers=headers)
    if returned == preferences.MINIMAL:
        response.content = b""
        del response["Content-Type"]
    return response


def _to_have_seen(body: str) -> dict[str, str]:
    """Under the names by which a query is told so, for whoever has no body to read it from."""
    said = codec.decode_json(body)
    named = {freshness.VERSION: "version", freshness.POSITION: "position"}
    return {header: str(said[member]) for header, member in named.items() if member in said}


def _applied(answer: StoredResponse, returned: str) -> dict[str, str]:
    applied = [
        each for each in (answer.headers.get(APPLIED), returned and f"return={returned}") if each
    ]
    return {APPLIED: ", ".join(applied)} if applied else {}
