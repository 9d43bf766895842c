"""What the API says of itself in OpenAPI 3.1: made from the views' own shapes, so that it cannot
say anything else."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from eventstore import registry
from eventstore.schemas import generation

from . import prefer as preferences
from . import read_your_writes as freshness
from . import reveal
from .commands import CommandView, Nothing
from .queries import NoParameters, PagesView, QueryView, RowView
from .webhooks import WebhookView

PROBLEM = "application/problem+json"


class FaultShape(serializers.Serializer):
    pointer = serializers.CharField()
    detail = serializers.CharField()
    code = serializers.CharField()


class Problem(serializers.Serializer):
    """Problem details (RFC 9457). code: stable, to be decided on; detail: for people.

    violated-policies: the limits that were met, of 429.
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
    """What is not said is refused in a body and not told in an answer, and the description says
    so."""

    target_class = serializers.Serializer
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return (
            schema | {"additionalProperties": False} if schema.get("type") == "object" else schema
        )


class Schema(AutoSchema):
    """For CommandView, QueryView and what else there is; a view of another kind says it by
    extend_schema."""

    def get_operation_id(self) -> str:
        return type(self.view).__name__.removesuffix("View")

    def get_description(self) -> str:  # type: ignore[override]
        return str(self.view.__doc__ or "")

    def get_override_parameters(self) -> list[Any]:
        match self.view:
            case CommandView():
                return [*EVERYWHERE, *COMMANDS]
            case RowView():
                told = [REVEAL] if registry.personal().get(self.view.model) else []
                return [*EVERYWHERE, *STANDS, *ROWS, *told, *self._in_the_address()]
            case PagesView():
                return [*EVERYWHERE, *STANDS, *LISTS, *TOLD_OF_LISTS, *self._in_the_address()]
            case QueryView():
                return [*EVERYWHERE, *STANDS, *self._in_the_address()]
            case WebhookView() as webhook:
                return [*EVERYWHERE, *(_header(*each) for each in webhook.signed_by.items())]
        return list(EVERYWHERE)

    def _in_the_address(self) -> list[Any]:
        shape = getattr(self.view, "parameters", NoParameters)
        return [shape] if shape().fields else []

    def get_auth(self) -> list[dict[str, Any]]:
        return [{"bearer": []}] if self.view.get_authenticators() else []

    def get_request_serializer(self) -> Any:
        if isinstance(self.view, WebhookView):
            return {"application/json": generation.inlined(self.view.notice)}
        shape = getattr(self.view, "serializer_class", None)
        return shape if self.method == "POST" and shape is not Nothing else None

    def get_response_serializers(self) -> Any:
        answers: dict[Any, Any] = {}
        match self.view:
            case CommandView():
                answers[202] = OpenApiResponse(
                    _accepted(self.view.id_field),
                    "Decided, and recorded. No body, where return=minimal is preferred.",
                )
                told = {400, 401, 403, 404, 409, 411, 412, 413, 415, 422, 429, 503}
            case PagesView() as pages:
                answers[200] = OpenApiResponse(self._page(pages), "A page.")
                told = {400, 401, 403, 406, 412, 429, 503}
            case WebhookView():
                answers[200] = OpenApiResponse(RECEIVED, "Taken, or taken before.")
                told = {400, 401, 411, 413, 415, 503}
            case RowView() as row:
                answers[200] = OpenApiResponse(row.serializer_class, "As it stands.")
                answers[304] = OpenApiResponse(None, "As the client has it already.")
                told = {400, 401, 403, 404, 406, 412, 429, 503}
            case _:
                answer = getattr(self.view, "answer", getattr(self.view, "serializer_class", None))
                answers[200 if answer else 204] = OpenApiResponse(
                    answer, "As it stands." if answer else "Done."
                )
                told = {400, 401, 403, 404, 406, 411, 412, 413, 415, 429, 503}
        return answers | {
            (status, PROBLEM): OpenApiResponse(Problem, WHY[status])
            for status in sorted(told | UNREADABLE)
        }

    def _page(self, pages: PagesView) -> Mapping[str, Any]:
        row = self.resolve_serializer(pages.serializer_class, "response").ref
        properties = {
            "data": {"type": "array", "items": row},
            "has_more": {"type": "boolean"},
            "next": {"type": ["string", "null"], "description": "The address of the next page."},
        }
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }


def _accepted(subject: str) -> Mapping[str, Any]:
    """version and position are there once it is decided; command_id when it was left to the
    workers."""
    properties = {
        subject: {"type": "string"},
        "status": {"type": "string", "enum": ["PROCESSING", "PENDING"]},
        "version": {"type": "integer"},
        "position": {"type": "integer"},
        "command_id": {"type": "string", "format": "uuid"},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": [subject, "status"],
        "additionalProperties": False,
    }


def _header(name: str, description: str, pattern: str | None = None) -> OpenApiParameter:
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, pattern=pattern
    )


def _told(
    name: str, description: str, *statuses: int, pattern: str | None = None, required: bool = True
) -> OpenApiParameter:
    """A header of the answers with these statuses; without any, of all."""
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
UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
LIMIT = r'^"[a-z]+";r=[0-9]+;t=[0-9]+(, "[a-z]+";r=[0-9]+;t=[0-9]+)*$'
POLICY = r'^"[a-z]+";q=[0-9]+;w=[0-9]+(, "[a-z]+";q=[0-9]+;w=[0-9]+)*$'
RETURN = f"return=({preferences.MINIMAL}|{preferences.REPRESENTATION})"
APPLIED = f"^(respond-async|{RETURN}|respond-async, {RETURN})$"
SOURCES = f"^({freshness.READ_MODEL}|{freshness.EVENT_LOG})$"

EVERYWHERE = (
    _header("X-Correlation-ID", "A business transaction to go on with; every answer carries one."),
    _told("X-Correlation-ID", "The business transaction.", pattern=UUID),
    _header(
        "X-Request-ID",
        "The client's own id of this request: 1 to 128 visible ASCII characters. Others are"
        " replaced.",
    ),
    _told("X-Request-ID", "The request.", pattern="^[!-~]{1,128}$"),
    _header(
        "traceparent",
        "The client's trace (W3C Trace Context), which goes with all that the request causes.",
    ),
    _told("WWW-Authenticate", "How to say who is asking.", 401),
    _told(
        "Retry-After",
        "Seconds until it may be asked again.",
        409,
        pattern="^[0-9]+$",
        required=False,
    ),
    _told("Retry-After", "Seconds until it may be asked again.", 429, 503, pattern="^[0-9]+$"),
    _told(
        "RateLimit",
        "What is left of each limit (r), and in how many seconds it begins anew (t).",
        pattern=LIMIT,
        required=False,
    ),
    _told(
        "RateLimit-Policy",
        "Each limit: how many (q) in how many seconds (w).",
        pattern=POLICY,
        required=False,
    ),
)
COMMANDS = (
    _header(
        "Idempotency-Key",
        "1 to 255 visible ASCII characters, quoted or bare. A repeat is answered as the first"
        " time.",
        r'^([!#-~][!-~]{0,254}|"[!#-[\]-~]{1,255}")$',
    ),
    _header(
        "If-Match",
        'The entity tag or version on which the client decided, such as "17"; another one is 412.',
        rf"^(\*|{TAG}(, ?{TAG})*)$",
    ),
    OpenApiParameter(
        "Prefer",
        str,
        OpenApiParameter.HEADER,
        description=(
            "respond-async leaves the command to the workers, and tells where to ask what became of"
            " it. return=minimal leaves out the body of a 202; return=representation does not,"
            " which is the rule."
        ),
        examples=[
            OpenApiExample("Left to the workers", "respond-async"),
            OpenApiExample("Without a body", "return=minimal"),
            OpenApiExample("Both", "respond-async, return=minimal"),
        ],
    ),
    _told(
        "Location",
        "Where to ask about its subject, or what became of the command.",
        202,
        pattern="^/api/queries/",
    ),
    _told(
        "X-Min-Version", "Its version, once it is decided.", 202, pattern="^[0-9]+$", required=False
    ),
    _told(
        "Min-Position", "Its position, once it is decided.", 202, pattern="^[0-9]+$", required=False
    ),
    _told(
        "Preference-Applied", "What was preferred and done.", 202, pattern=APPLIED, required=False
    ),
    _told(
        "Idempotent-Replayed",
        "This was answered before.",
        202,
        409,
        pattern="^true$",
        required=False,
    ),
)
STANDS = (
    _told(
        "X-Projection-Position",
        "Where in the log the read model stands.",
        200,
        304,
        pattern="^[0-9]+$",
    ),
    _told(
        "X-Projection-Lag", "Seconds by which it is behind.", 200, 304, pattern=r"^[0-9]+\.[0-9]+$"
    ),
)
LISTS = (
    _header("Min-Position", "A position in the log that the answer must hold.", "^[0-9]{1,18}$"),
    _header("Prefer", "wait=SECONDS for the read model to come so far."),
    _told(
        "Restarted-After",
        "What was seen behind it may be lost.",
        200,
        304,
        pattern="^[0-9]+$",
        required=False,
    ),
)
ROWS = (
    *LISTS,
    _header(
        "X-Min-Version", "A version of the row's stream that the answer must hold.", "^[0-9]{1,9}$"
    ),
    _header("If-None-Match", "The entity tag of what the client has.", rf"^(\*|{TAG}(, ?{TAG})*)$"),
    _told("ETag", "The row's version and position.", 200, 304, pattern=r'^"[0-9]+\.[0-9]+"$'),
    _told("X-Answered-From", "The side that has answered.", 200, 304, pattern=SOURCES),
)
REVEAL = _header(
    reveal.HEADER,
    "Why staff have to see what is personal of another's; without it, that is hidden. It is written"
    " down.",
    rf"^{reveal.REASON}$",
)
TOLD_OF_LISTS = (
    _told("X-Answered-From", "The side that has answered.", 200, pattern=SOURCES),
    _told(
        "Link",
        "The next page, where there is one.",
        200,
        pattern='^<[^>]+>; rel="next"$',
        required=False,
    ),
)
RECEIVED = {
    "type": "object",
    "properties": {"received": {"type": "string"}, "repeat": {"type": "boolean"}},
    "required": ["received", "repeat"],
    "additionalProperties": False,
}
# Before anybody has asked which address it is.
UNREADABLE = {414, 431}
WHY = {
    400: "Some part of the request is not valid; `errors` says which.",
    401: "A token is needed.",
    403: "Not for this role.",
    404: "Nothing has this address, or it is none of the client's business.",
    406: "Only JSON is spoken.",
    409: "Refused, as things stand; `code` says why. Or the same is being answered just now.",
    411: "The body's length must be said.",
    412: "Things stand at another version.",
    413: "The body is too large.",
    414: "The address is too long.",
    415: "Only JSON is understood.",
    422: "The idempotency key was used for something else.",
    429: "Too often; `Retry-After` says when again.",
    431: "The headers are too many or too large.",
    503: "Not just now; `Retry-After` says when again.",
}
