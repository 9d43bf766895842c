"""What the API says of itself in OpenAPI 3.1: made from the views' own shapes, so that it cannot say anything else."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from eventstore import schemas

from .commands import CommandView, Nothing
from .queries import NoParameters, PagesView, QueryView, RowView
from .webhooks import WebhookView

PROBLEM = "application/problem+json"


class FaultShape(serializers.Serializer):
    pointer = serializers.CharField()
    detail = serializers.CharField()
    code = serializers.CharField()


class Problem(serializers.Serializer):
    """Problem details (RFC 9457). code: stable, to be decided on; detail: for people."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    code = serializers.CharField()
    errors = FaultShape(many=True)  # type: ignore[assignment]
    correlation_id = serializers.UUIDField()
    current_version = serializers.IntegerField(required=False)


class Schema(AutoSchema):
    """For CommandView, QueryView and what else there is; a view of another kind says it by extend_schema."""

    def get_operation_id(self) -> str:
        return type(self.view).__name__.removesuffix("View")

    def get_description(self) -> str:  # type: ignore[override]
        return str(self.view.__doc__ or "")

    def get_override_parameters(self) -> list[Any]:
        match self.view:
            case CommandView():
                return [*EVERYWHERE, *COMMANDS]
            case RowView():
                return [*EVERYWHERE, *ROWS, *self._in_the_address()]
            case QueryView():
                return [*EVERYWHERE, *LISTS, *self._in_the_address()]
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
            return {"application/json": schemas.inlined(self.view.notice)}
        shape = getattr(self.view, "serializer_class", None)
        return shape if self.method == "POST" and shape is not Nothing else None

    def get_response_serializers(self) -> Any:
        answers: dict[Any, Any] = {}
        match self.view:
            case CommandView():
                answers[202] = OpenApiResponse(_accepted(self.view.subject), "Decided, and recorded.")
                told = {400, 401, 403, 404, 409, 411, 412, 413, 415, 422, 429, 503}
            case PagesView() as pages:
                answers[200] = OpenApiResponse(self._page(pages), "A page.")
                told = {400, 401, 403, 406, 412, 429, 503}
            case WebhookView():
                answers[200] = OpenApiResponse(RECEIVED, "Taken, or taken before.")
                told = {400, 401, 413, 415, 503}
            case RowView() as row:
                answers[200] = OpenApiResponse(row.serializer_class, "As it stands.")
                answers[304] = OpenApiResponse(None, "As the client has it already.")
                told = {400, 401, 403, 404, 406, 412, 429, 503}
            case _:
                answer = getattr(self.view, "answer", getattr(self.view, "serializer_class", None))
                answers[200 if answer else 204] = OpenApiResponse(answer, "As it stands." if answer else "Done.")
                told = {400, 401, 403, 404, 406, 412, 413, 415, 429, 503}
        return answers | {(status, PROBLEM): OpenApiResponse(Problem, WHY[status]) for status in sorted(told)}

    def _page(self, pages: PagesView) -> Mapping[str, Any]:
        row = self.resolve_serializer(pages.serializer_class, "response").ref
        properties = {
            "data": {"type": "array", "items": row},
            "has_more": {"type": "boolean"},
            "next": {"type": ["string", "null"], "description": "The address of the next page."},
        }
        return {"type": "object", "properties": properties, "required": list(properties)}


def _accepted(subject: str) -> Mapping[str, Any]:
    """version and position are there once it is decided; command_id when it was left to the workers."""
    properties = {
        subject: {"type": "string"},
        "status": {"type": "string", "enum": ["PROCESSING", "PENDING"]},
        "version": {"type": "integer"},
        "position": {"type": "integer"},
        "command_id": {"type": "string", "format": "uuid"},
    }
    return {"type": "object", "properties": properties, "required": [subject, "status"]}


def _header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


EVERYWHERE = (_header("X-Correlation-ID", "A business transaction to go on with; every answer carries one."),)
COMMANDS = (
    _header(
        "Idempotency-Key", "1 to 255 visible ASCII characters, quoted or bare. A repeat is answered as the first time."
    ),
    _header("If-Match", 'The entity tag or version on which the client decided, such as "17"; another one is 412.'),
    _header("Prefer", "respond-async leaves the command to the workers, and tells where to ask what became of it."),
)
LISTS = (
    _header("Min-Position", "A position in the log that the answer must hold."),
    _header("Prefer", "wait=SECONDS for the read model to come so far."),
)
ROWS = (
    *LISTS,
    _header("X-Min-Version", "A version of the row's stream that the answer must hold."),
    _header("If-None-Match", "The entity tag of what the client has."),
)
RECEIVED = {
    "type": "object",
    "properties": {"received": {"type": "string"}, "repeat": {"type": "boolean"}},
    "required": ["received", "repeat"],
}
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
    415: "Only JSON is understood.",
    422: "The idempotency key was used for something else.",
    429: "Too often; `Retry-After` says when again.",
    503: "Not just now; `Retry-After` says when again.",
}
