"""The OpenAPI 3.1 document: made from the serializers of the views, so that it matches what they
do."""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.extensions import (
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from eventstore import registry
from eventstore.schemas import generation

from . import read_your_writes, reveal
from .bulk import BulkView, CsvParser, NdjsonParser
from .commands import CommandView, Nothing
from .queries import NoParameters, PagesView, QueryView, RowView
from .requests import MINIMAL, REPRESENTATION
from .serializers import OpenChoice
from .stored import StoredPagesView, StoredRowView
from .webhook_commands import EndpointCommandView
from .webhook_queries import WebhookDeliveriesView
from .webhooks import WebhookView

PROBLEM = "application/problem+json"


class FaultShape(serializers.Serializer):
    """One invalid part of the request, named by one of these. pointer: a JSON Pointer into the
    body, as a URI fragment (RFC 6901). parameter: a query parameter. header: a request header."""

    pointer = serializers.CharField(required=False)
    parameter = serializers.CharField(required=False)
    header = serializers.CharField(required=False)
    detail = serializers.CharField()
    code = serializers.CharField()


class Problem(serializers.Serializer):
    """Problem details (RFC 9457). code: stable; programs compare it. Later versions may have
    further codes. detail: for people; its text may change.

    violated-policies: the exceeded limits of a 429.
    """

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    code = serializers.CharField()
    errors = FaultShape(many=True)  # type: ignore[assignment]
    correlation_id = serializers.UUIDField()
    request_id = serializers.CharField()
    trace_id = serializers.CharField()
    current_version = serializers.IntegerField(required=False)

    def get_fields(self) -> dict[str, serializers.Field]:
        limits = serializers.ListField(child=serializers.CharField(), required=False)
        return super().get_fields() | {"violated-policies": limits}


class Closed(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Objects of requests have additionalProperties: false, as unknown members are rejected.
    Objects of responses are open: later versions may add members."""

    target_class = serializers.Serializer
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        is_closed = schema.get("type") == "object" and direction == "request"
        return schema | {"additionalProperties": False} if is_closed else schema


class OpenText(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Generated clients know the values, and take any other text too."""

    target_class = OpenChoice

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Any:
        return open_text(self.target.choices)


def open_text(values: Sequence[str]) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "enum": list(values)}, {"type": "string"}]}


class Schema(AutoSchema):
    """Describes each kind of view. A view of another kind declares its parameters with
    extend_schema."""

    def get_operation_id(self) -> str:
        return type(self.view).__name__.removesuffix("View")

    def get_summary(self) -> str:
        """The first sentence of the view's docstring, which is written for clients."""
        return self._sentences()[0].removesuffix(".")

    def get_description(self) -> str:  # type: ignore[override]
        return self._sentences()[1]

    def _sentences(self) -> tuple[str, str]:
        text = " ".join((self.view.__doc__ or "").split())
        first, _, rest = text.partition(". ")
        return first, rest

    def get_auth(self) -> list[dict[str, Any]]:
        return [{"bearer": []}] if self.view.get_authenticators() else []

    def get_operation(self, *arguments: Any, **named: Any) -> Any:
        operation = super().get_operation(*arguments, **named)
        if operation is not None:
            # Says that no token is needed; without it, a reader cannot tell.
            operation.setdefault("security", [])
        return operation

    def get_override_parameters(self) -> list[Any]:
        headers: tuple[OpenApiParameter, ...] = ()
        match self.view:
            case BulkView():
                headers = (KEY, *ACCEPTED)
            case CommandView():
                headers = (KEY, PRECONDITION, *ACCEPTED)
            case RowView():
                personal = registry.personal().get(self.view.model)
                headers = (*PROGRESS, *ROWS, *([REVEAL] if personal else []))
            case StoredRowView():
                headers = TAGS
            case StoredPagesView():
                headers = (NEXT,)
            case PagesView():
                headers = (*PROGRESS, *LISTS, *PAGES)
            case QueryView():
                headers = PROGRESS
            case WebhookView() as webhook:
                headers = tuple(_request_header(*each) for each in webhook.signed_by.items())
        shape = getattr(self.view, "parameters", NoParameters)
        query = [shape] if isinstance(self.view, QueryView) and shape().fields else []
        return [*EVERY_OPERATION, *headers, *query]

    def get_request_serializer(self) -> Any:
        if isinstance(self.view, WebhookView):
            return {"application/json": generation.inlined(self.view.notice)}
        shape = getattr(self.view, "serializer_class", None)
        if isinstance(self.view, BulkView):
            table = {"type": "string", "format": "binary", "examples": [self.view.example]}
            return {NdjsonParser.media_type: shape, CsvParser.media_type: table}
        return shape if self.method == "POST" and shape is not Nothing else None

    def get_response_serializers(self) -> Any:
        errors = next(codes for kind, codes in ERRORS_OF if isinstance(self.view, kind))
        problems = {
            (status, PROBLEM): OpenApiResponse(Problem, ERRORS[status])
            for status in sorted(errors | BEFORE_ROUTING)
        }
        match self.view:
            case EndpointCommandView() | BulkView() as command:
                done = {202: OpenApiResponse(command.answer, "Done.")}
                if not getattr(command, "shows_secret", False):
                    done[204] = OpenApiResponse(None, "As 202, if return=minimal is preferred.")
            case CommandView() as command:
                # version and position are in a decided command's response, command_id in a deferred
                # command's.
                properties = {
                    command.id_field: {"type": "string"},
                    "status": open_text(["PROCESSING", "PENDING"]),
                    "version": {"type": "integer"},
                    "position": {"type": "integer"},
                    "command_id": {"type": "string", "format": "uuid"},
                }
                accepted = _object(properties, [command.id_field, "status"])
                done = {
                    202: OpenApiResponse(accepted, "The command was accepted."),
                    204: OpenApiResponse(None, "As 202, for a client that prefers return=minimal."),
                }
            case PagesView() as pages:
                row = self.resolve_serializer(pages.serializer_class, "response").ref
                url = {"type": ["string", "null"], "description": "The URL of the next page."}
                properties = {
                    "data": {"type": "array", "items": row},
                    "has_more": {"type": "boolean"},
                    "next": url,
                }
                page = _object(properties, list(properties))
                done = {200: OpenApiResponse(page, "A page.")}
            case WebhookView():
                about = "Received, now or in an earlier delivery."
                done = {200: OpenApiResponse(RECEIVED, about)}
            case RowView() | StoredRowView() as view:
                current = OpenApiResponse(view.serializer_class, "The current state.")
                done = {200: current, 304: OpenApiResponse(None, "Not modified.")}
            case view if body := getattr(view, "answer", getattr(view, "serializer_class", None)):
                done = {200: OpenApiResponse(body, "The current state.")}
            case _:
                done = {204: OpenApiResponse(None, "Done.")}
        return done | problems


def _object(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _request_header(name: str, description: str, pattern: str | None = None) -> OpenApiParameter:
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, pattern=pattern
    )


def _response_header(
    name: str, description: str, *statuses: int, pattern: str | None = None, required: bool = True
) -> OpenApiParameter:
    """A header of responses with these statuses; without statuses, of all."""
    return OpenApiParameter(
        name,
        str,
        OpenApiParameter.HEADER,
        description=description,
        pattern=pattern,
        required=required,
        response=list(statuses) or True,
    )


TAG = r'(W/)?"[!#-~]*"'
TAG_LIST = rf"^(\*|{TAG}(, ?{TAG})*)$"
UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
DIGITS = "^[0-9]+$"
LIMIT = r'^"[a-z]+";r=[0-9]+;t=[0-9]+(, "[a-z]+";r=[0-9]+;t=[0-9]+)*$'
POLICY = r'^"[a-z]+";q=[0-9]+;w=[0-9]+(, "[a-z]+";q=[0-9]+;w=[0-9]+)*$'
RETURN = f"return=({MINIMAL}|{REPRESENTATION})"
APPLIED = f"^(respond-async|{RETURN}|respond-async, return={REPRESENTATION})$"
SOURCES = f"^({read_your_writes.READ_MODEL}|{read_your_writes.EVENT_LOG})$"

RETRY = "Seconds to wait before retrying."
SOURCE = "Where the response comes from: the read model, or the event log."

EVERY_OPERATION = (
    _request_header(
        "X-Correlation-ID", "A correlation id to continue; without it, a new one is made."
    ),
    _response_header("X-Correlation-ID", "The correlation id of the request.", pattern=UUID),
    _request_header(
        "X-Request-ID",
        "The client's id of this request: 1 to 128 visible ASCII characters. Any other value is"
        " replaced.",
    ),
    _response_header("X-Request-ID", "The id of the request.", pattern="^[!-~]{1,128}$"),
    _request_header(
        "traceparent",
        "The client's trace (W3C Trace Context). It is kept with everything that the request"
        " causes.",
    ),
    _response_header("WWW-Authenticate", "The authentication scheme to use.", 401),
    _response_header("Retry-After", RETRY, 409, pattern=DIGITS, required=False),
    _response_header("Retry-After", RETRY, 429, 503, pattern=DIGITS),
    _response_header(
        "RateLimit",
        "For each rate limit, the remaining requests (r) and the seconds until it resets (t).",
        pattern=LIMIT,
        required=False,
    ),
    _response_header(
        "RateLimit-Policy",
        "For each rate limit, the number of requests (q) in a window of seconds (w).",
        pattern=POLICY,
        required=False,
    ),
)
KEY = _request_header(
    "Idempotency-Key",
    "1 to 255 visible ASCII characters, quoted or, without a comma, unquoted. A repeated"
    " request with the same key is executed once and gets the same response.",
    r'^([!#-+\--~][!-+\--~]{0,254}|"[!#-[\]-~]{1,255}")$',
)
PRECONDITION = _request_header(
    "If-Match",
    'The entity tag or version on which the command is based, such as "17". If the object has'
    " another version, the response is 412.",
    TAG_LIST,
)
ACCEPTED = (
    OpenApiParameter(
        "Prefer",
        str,
        OpenApiParameter.HEADER,
        description=(
            "respond-async defers the command to a worker; Location is the URL of its status."
            " return=minimal asks for 204 without a body; return=representation is the default."
        ),
        examples=[
            OpenApiExample("Deferred to a worker", "respond-async"),
            OpenApiExample("Without a body", "return=minimal"),
        ],
    ),
    _response_header(
        "Location",
        "The URL of the object, or the status URL of a deferred command.",
        202,
        204,
        pattern="^/api/queries/",
    ),
    _response_header(
        "X-Min-Version",
        "The version of the object, for the next query. Absent for a deferred command.",
        202,
        204,
        pattern=DIGITS,
        required=False,
    ),
    _response_header(
        "Min-Position",
        "The position in the log, for the next query. Absent for a deferred command.",
        202,
        204,
        pattern=DIGITS,
        required=False,
    ),
    _response_header(
        "Preference-Applied",
        "The preferences that were honoured.",
        202,
        204,
        pattern=APPLIED,
        required=False,
    ),
    _response_header(
        "Idempotent-Replayed",
        "The stored response of an earlier request with the same idempotency key.",
        202,
        204,
        409,
        pattern="^true$",
        required=False,
    ),
)
PROGRESS = (
    _response_header(
        "X-Projection-Position",
        "The position in the log that the read model has reached.",
        200,
        304,
        pattern=DIGITS,
    ),
    _response_header(
        "X-Projection-Lag",
        "Seconds by which the read model is behind the log.",
        200,
        304,
        pattern=r"^[0-9]+\.[0-9]+$",
    ),
)
WAITED = _response_header(
    "Preference-Applied",
    "The preference wait, if the request had one.",
    200,
    304,
    pattern="^wait=[0-9]{1,6}$",
    required=False,
)
LISTS = (
    WAITED,
    _request_header(
        "Min-Position",
        "A position in the log that the response must include.",
        "^[0-9]{1,18}$",
    ),
    _request_header("Prefer", "wait=SECONDS: how long to wait for the read model to catch up."),
    _response_header(
        "Restarted-After",
        "The log was restored. Events after this position that the client has seen may be lost.",
        200,
        304,
        pattern=DIGITS,
        required=False,
    ),
)
TAGS = (
    _request_header("If-None-Match", "The entity tags that the client has in its cache.", TAG_LIST),
    _response_header(
        "ETag", "The version and the position of the row.", 200, 304, pattern=r'^"[0-9]+\.[0-9]+"$'
    ),
)
ROWS = (
    *LISTS,
    _request_header(
        "X-Min-Version",
        "A version of the object that the response must include.",
        "^[0-9]{1,9}$",
    ),
    *TAGS,
    _response_header("X-Answered-From", SOURCE, 200, 304, pattern=SOURCES),
)
REVEAL = _request_header(
    reveal.HEADER,
    "Staff only: why personal data of another person has to be shown. Without it, that data is"
    " masked. The reason is recorded.",
    rf"^{reveal.REASON}$",
)
NEXT = _response_header(
    "Link", "The next page, if any.", 200, pattern='^<[^>]+>; rel="next"$', required=False
)
PAGES = (_response_header("X-Answered-From", SOURCE, 200, pattern=SOURCES), NEXT)
RECEIVED = _object(
    {"received": {"type": "string"}, "repeat": {"type": "boolean"}}, ["received", "repeat"]
)
# The server sends these before the request has a URL, so every operation has them.
BEFORE_ROUTING = {414, 431}
# The first kind that matches.
ERRORS_OF: tuple[tuple[type | tuple[type, ...], set[int]], ...] = (
    (CommandView, {400, 401, 403, 404, 406, 409, 411, 412, 413, 415, 422, 429, 503}),
    (WebhookDeliveriesView, {400, 401, 403, 404, 406, 412, 429, 503}),
    (PagesView, {400, 401, 403, 406, 412, 429, 503}),
    (WebhookView, {400, 401, 406, 411, 413, 415, 503}),
    ((RowView, StoredRowView), {400, 401, 403, 404, 406, 412, 429, 503}),
    (object, {400, 401, 403, 404, 406, 411, 412, 413, 415, 429, 503}),
)
ERRORS = {
    400: "Some parts of the request are invalid; see `errors`.",
    401: "Authentication is required.",
    403: "The user's role does not permit this.",
    404: "Not found, or not visible to this client.",
    406: "Only application/json is supported.",
    409: (
        "The command was rejected (`code` says why), the resource was changed concurrently, or a"
        " request with the same idempotency key is still running."
    ),
    411: "Content-Length is required.",
    412: "The object has another version, or has not reached the required version yet.",
    413: "The request body is too large.",
    414: "The URL is too long.",
    415: "Only application/json is supported.",
    422: "The idempotency key was used for a different request.",
    429: "Too many requests; retry after `Retry-After` seconds.",
    431: "The request headers are too many or too large.",
    503: "Temporarily unavailable; retry after `Retry-After` seconds.",
}
