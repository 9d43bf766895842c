"""Command endpoints: read the body, dispatch the command, respond 202 with the version of its
object and where to query it."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.views.decorators.common import no_append_slash
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from uuid_utils.compat import uuid7

from eventstore import codec, log, settings
from eventstore.aggregate import CommandRejected, stream_name
from eventstore.commands import bus, deferred, idempotency, repository
from eventstore.commands.idempotency import AlreadyAnswered, IdempotencyKey, StoredResponse
from eventstore.log import Appended, OutgoingMessage
from eventstore.messages import Command, Metadata, replace

from . import reading, requests
from .deferred import principal, status_url
from .errors import HEADER, Fault, Malformed, all_of
from .read_your_writes import POSITION, VERSION
from .requests import APPLIED
from .serializers import StrictSerializer
from .views import EventStoreView

NOBODYS = UUID(int=0)
DAY_SECONDS = 24 * 60 * 60.0


class Nothing(StrictSerializer):
    """No members at all."""


class CommandView(EventStoreView):
    """command: makes the command from the parts of the URL and the members of the body.

    id_field: the command's field with the id of its object. query_url: where that object is
    queried. It is not reversed from the URL configuration, because the query side can be deployed
    elsewhere.
    """

    serializer_class: type[StrictSerializer] = Nothing
    parser_classes = [requests.StrictJSONParser]
    # Of the request.
    key: IdempotencyKey | None = None
    preferences: Mapping[str, str] = {}
    command: Callable[..., Command]
    id_field: ClassVar[str]
    query_url: ClassVar[str]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        # A redirect to the URL with a slash would turn the POST into a GET.
        return no_append_slash(super().as_view(**initkwargs))

    def post(self, request: Request, **named: str) -> HttpResponse:
        try:
            response = self._execute(request, named)
        except AlreadyAnswered as already:
            response = _replayed(already.answer)
        except Exception:
            # A repeat can fail where the first request succeeded. It still gets the first response.
            stored = idempotency.find(self.key) if self.key else None
            if stored is None:
                raise
            response = _replayed(stored)
        return _http_response(response, self.preferences.get("return", ""))

    def new_id(self) -> str:
        """An id for what the command creates, such as an order; the same for each repeat under one
        idempotency key. If the log loses the request, its repeat makes no external call twice.

        If the key is a UUID of version 7, the id is one too, with the key's time, so that ids sort
        by time. Otherwise it is a UUID of version 8.
        """
        if self.key is None:
            return str(uuid7())
        digest = hashlib.sha256(f"{self.key.scope} {self.key.fingerprint}".encode()).digest()
        made = int.from_bytes(digest[:16], "big")
        at = _time_of(self.key.scope.rpartition(" ")[2])
        if at is not None:
            made = at << 80 | made & ((1 << 80) - 1)
        version = 8 if at is None else 7
        return str(UUID(int=made & ~(0xF << 76) & ~(0x3 << 62) | version << 76 | 0b10 << 62))

    def _execute(self, request: Request, named: Mapping[str, str]) -> StoredResponse:
        seen, values = self._read(request)
        command = self.command(**named, **values)
        metadata = replace(log.current_metadata(), actor=request.user.get_username())
        # A command with If-Match is never deferred: the client has to learn about a conflict at
        # once, to decide again. Without an address for its status, the preference is ignored (RFC
        # 7240).
        if seen is None and "respond-async" in self.preferences and status_url(NOBODYS):
            return self._defer(command, metadata)

        def write(outcome: bus.Outcome, *appended: Any) -> Appended:
            assert self.key is not None
            # The append fills in the position of new events.
            position = None if outcome.events else outcome.position
            response = self._accepted(command, outcome, position)
            return idempotency.write(self.key, response, *appended)

        try:
            outcome = bus.dispatch(
                command, metadata=metadata, seen=seen, write=write if self.key else None
            )
        except CommandRejected as rejection:
            return self._rejected(rejection)
        return self._accepted(command, outcome, outcome.position)

    def _read(self, request: Request) -> tuple[requests.Versions | None, Any]:
        """The versions of If-Match, and the values of the body. Sets the key and the preferences.
        Raises Malformed and ValidationError."""
        requests.require_length(request)
        self.preferences = requests.preferences(request)
        _, seen, values = all_of(
            lambda: self._read_key(request),
            lambda: requests.if_match(request),
            lambda: reading.read(self.serializer_class, request.data),
        )
        return seen, values

    def _read_key(self, request: Request) -> None:
        given = requests.idempotency_key(request)
        if given is not None:
            scope = f"{request.user.pk} {request.method} {request.path} {given}"
            # The same for bodies that differ only in the order of members or in white space. 1 and
            # 1.0 differ.
            body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
            self.key = IdempotencyKey(scope, hashlib.sha256(body.encode()).hexdigest())
        elif settings.idempotency_key_required():
            detail = "Every command needs an Idempotency-Key."
            raise Malformed(Fault(requests.IDEMPOTENCY_KEY, detail, "required", HEADER))

    def _rejected(self, rejection: CommandRejected) -> StoredResponse:
        """A rejection is a response too: a repeat gets it even if the command would succeed now."""
        if self.key is None:
            raise rejection
        problem = self.handle_exception(rejection)
        content_type = {"Content-Type": str(problem.content_type)}
        response = json_response(problem.status_code, problem.data, content_type)
        idempotency.keep(self.key, response)
        return response

    def _accepted(
        self, command: Command, outcome: bus.Outcome, position: int | None
    ) -> StoredResponse:
        id_ = getattr(command, self.id_field)
        body = {
            self.id_field: id_,
            "version": outcome.version,
            "position": position,
            "status": "PROCESSING",
        }
        return json_response(202, body, {"Location": f"{self.query_url}{id_}/"})

    def _defer(self, command: Command, metadata: Metadata) -> StoredResponse:
        """Enqueue the command for a worker. The client polls the status URL for its outcome."""
        id_ = getattr(command, self.id_field)

        def respond(command_id: UUID) -> StoredResponse:
            body = {"command_id": str(command_id), self.id_field: id_, "status": "PENDING"}
            location = str(status_url(command_id))
            return json_response(202, body, {"Location": location, APPLIED: "respond-async"})

        def write(command_id: UUID, outgoing: Sequence[OutgoingMessage]) -> None:
            if self.key:
                idempotency.write(self.key, respond(command_id), (), outgoing)
            else:
                log.write((), outgoing)

        command_id = deferred.defer(
            command,
            metadata=metadata,
            principal=principal(self.request.user),
            location=f"{self.query_url}{id_}/",
            write=write,
        )
        return respond(command_id)


def known(category: str, key: str) -> Any:
    """The state of an aggregate, from its own events. Raises NotFound when it has none."""
    version, state = repository.load_one(stream_name(category, key))
    if version == 0:
        raise NotFound
    return state


def _time_of(key: str) -> int | None:
    """The time of a UUID of version 7 in milliseconds since 1970. None for another key, and for a
    time older than responses are stored or more than a day ahead."""
    try:
        named = UUID(key)
    except ValueError:
        return None
    at, now = named.int >> 80, time.time()
    oldest = now - settings.response_retention().total_seconds()
    return at if named.version == 7 and oldest < at / 1000 < now + DAY_SECONDS else None


def _replayed(response: StoredResponse) -> StoredResponse:
    return replace(response, headers=response.headers | {"Idempotent-Replayed": "true"})


def json_response(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str]
) -> StoredResponse:
    return StoredResponse(
        status,
        {"Content-Type": "application/json", "Vary": "Prefer"} | dict(headers),
        codec.encode_json(body).decode(),
    )


def _http_response(response: StoredResponse, preferred: str) -> HttpResponse:
    """A response is stored with its body, and each request decides whether it gets the body: 202
    with it, 204 without. Errors and deferred commands always have theirs. preferred: the value of
    the preference "return"."""
    if response.status != 202:
        return HttpResponse(response.body, status=response.status, headers=response.headers)
    body = codec.decode_json(response.body)
    # For clients that prefer no body: what to send with the next query.
    progress = {
        header: str(body[member])
        for header, member in ((VERSION, "version"), (POSITION, "position"))
        if member in body
    }
    all_headers = response.headers | progress
    is_minimal = preferred == requests.MINIMAL and APPLIED not in response.headers
    if is_minimal or preferred == requests.REPRESENTATION:
        candidates = (response.headers.get(APPLIED), f"return={preferred}")
        all_headers |= {APPLIED: ", ".join(each for each in candidates if each)}
    if is_minimal:
        return HttpResponse(status=204, headers=all_headers)
    return HttpResponse(response.body, status=202, headers=all_headers)
