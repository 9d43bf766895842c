"""Register endpoints of webhooks, change them, and send deliveries again."""

from collections.abc import Callable, Container, Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request

from eventstore import codec
from eventstore.aggregate import CommandRejected
from eventstore.commands import idempotency
from eventstore.commands.idempotency import StoredResponse
from eventstore.models import WebhookEndpoint
from eventstore.postgres import atomic
from eventstore.webhooks import addresses, deliveries, endpoints
from eventstore.webhooks.addresses import AddressRefused
from eventstore.webhooks.endpoints import Form, NoSuchEndpoint, UnknownTypes

from .commands import CommandView, json_response
from .deferred import principal
from .errors import Hidden
from .reading import serialize
from .serializers import LINES, Choice, StrictSerializer, Text
from .webhook_queries import WEBHOOKS, WebhookEndpointAnswer

OWN, ALL = "own", "all"
LARGEST_ID = 2**63 - 1


class WebhookSecretAnswer(WebhookEndpointAnswer):
    """secret: shown here only. A repeated request with the same idempotency key shows it again,
    until the next rotation; then it is null."""

    secret = serializers.CharField(allow_null=True)


class WebhookFormShape(StrictSerializer):
    """types: published types, or * for all."""

    url = Text(max_length=addresses.LONGEST)
    types = serializers.ListField(child=Text(max_length=127), min_length=1, max_length=100)
    description = Text(max_length=200, allow_blank=True, default="", rule=LINES)


class RegisterWebhookShape(WebhookFormShape):
    """orders: own for events of the account's own orders; all, for staff, for all events."""

    orders = Choice([OWN, ALL], default=OWN)


class SendFailedAgainShape(StrictSerializer):
    since = serializers.DateTimeField()


class EndpointCommandView(CommandView):
    """A command about an endpoint of the account. It is done when the response comes, also with
    respond-async.

    answer: the serializer of the response. shows_secret: whether it has the secret.
    """

    id_field, query_url = "endpoint_id", WEBHOOKS
    answer: type[serializers.Serializer] = WebhookEndpointAnswer
    shows_secret: ClassVar[bool] = False

    def prepare(self, body: dict[str, Any]) -> Any:
        """What `act` gets: checked outside of any transaction."""
        return body

    def act(self, endpoint_id: UUID, body: Any, seen: Container[int] | None) -> None:
        """Within a transaction."""
        raise NotImplementedError

    def post(self, request: Request, **named: Any) -> HttpResponse:
        found = super().post(request, **named)
        if self.shows_secret and found.status_code == 202:
            # Derived for each response, so that the stored response does not have it.
            body = codec.decode_json(found.content.decode())
            endpoint = endpoints.find(UUID(body["endpoint_id"]))
            is_current = endpoint and endpoint.secret_version == body["secret_version"]
            secret = endpoints.secret_of(endpoint) if endpoint and is_current else None
            found.content = codec.encode_json(body | {"secret": secret})
        found["Cache-Control"] = "no-store"
        return found

    def _execute(self, request: Request, named: Mapping[str, Any]) -> StoredResponse:
        seen, given = self._read(request)
        if self.shows_secret:
            self.preferences = {}  # the body is wanted, whatever the client prefers
        endpoint_id = named.get("endpoint_id") or UUID(self.new_id())
        if "endpoint_id" in named:
            endpoint = endpoints.find(endpoint_id)
            if endpoint is None:
                raise NotFound
            if endpoint.owner != principal(request.user):
                raise Hidden
        body = self.prepare(given)
        try:
            with atomic():
                self.act(endpoint_id, body, seen)
                done = serialize(WebhookEndpointAnswer, WebhookEndpoint.objects.get(pk=endpoint_id))
                response = json_response(202, done, {"Location": f"{WEBHOOKS}{endpoint_id}/"})
                if self.key:
                    idempotency.keep(self.key, response)
        except CommandRejected as rejection:
            return self._rejected(rejection)
        except (NoSuchEndpoint, deliveries.NoSuchDelivery):
            raise NotFound from None
        return response


class FormView(EndpointCommandView):
    serializer_class: type[StrictSerializer] = WebhookFormShape

    def prepare(self, body: dict[str, Any]) -> Form:
        form = Form(body["url"], body["types"], body["description"])
        try:
            endpoints.check(form)
        except AddressRefused as error:
            raise ValidationError({"url": [str(error)]}, "address_refused") from None
        except UnknownTypes as error:
            raise ValidationError({"types": [str(error)]}, "unknown_type") from None
        return form


class RegisterWebhookEndpointView(FormView):
    """Register an endpoint for events. The response has the secret that signs all requests to the
    endpoint."""

    serializer_class = RegisterWebhookShape
    answer, shows_secret = WebhookSecretAnswer, True
    # Whether a user may register endpoints for all events; set in the URL configuration.
    sees_all: Callable[[Any], bool] = staticmethod(lambda user: False)

    def prepare(self, body: dict[str, Any]) -> Any:
        if body["orders"] == ALL and not self.sees_all(self.request.user):
            raise PermissionDenied
        return super().prepare(body), body["orders"] == ALL

    def act(self, endpoint_id: UUID, body: Any, seen: Container[int] | None) -> None:
        form, is_for_all = body
        endpoints.register(endpoint_id, principal(self.request.user), form, is_for_all=is_for_all)


class ChangeWebhookEndpointView(FormView):
    """Replace the address, the types and the description of an endpoint."""

    def act(self, endpoint_id: UUID, body: Form, seen: Container[int] | None) -> None:
        endpoints.change(endpoint_id, body, seen=seen)


class RotateWebhookSecretView(EndpointCommandView):
    """Give an endpoint a new secret. For a time, requests are signed with the former one too."""

    answer, shows_secret = WebhookSecretAnswer, True

    def act(self, endpoint_id: UUID, body: Any, seen: Container[int] | None) -> None:
        endpoints.rotate(endpoint_id, seen=seen)


class DisableWebhookEndpointView(EndpointCommandView):
    """Disable an endpoint. Events while it is disabled are never sent to it."""

    def act(self, endpoint_id: UUID, body: Any, seen: Container[int] | None) -> None:
        endpoints.disable(endpoint_id, endpoints.BY_OWNER, seen=seen)


class EnableWebhookEndpointView(EndpointCommandView):
    """Enable an endpoint again. Deliveries that wait are sent, if they are not too old."""

    def act(self, endpoint_id: UUID, body: Any, seen: Container[int] | None) -> None:
        endpoints.enable(endpoint_id, seen=seen)


class DeleteWebhookEndpointView(EndpointCommandView):
    """Delete an endpoint with its deliveries."""

    def act(self, endpoint_id: UUID, body: Any, seen: Container[int] | None) -> None:
        endpoints.delete(endpoint_id, seen=seen)


class SendWebhookAgainView(EndpointCommandView):
    """Send a delivery now, with the same webhook-id, whether it was delivered before or not."""

    def post(self, request: Request, **named: Any) -> HttpResponse:
        self.delivery_id = named.pop("delivery_id")
        if self.delivery_id > LARGEST_ID:
            raise NotFound
        return super().post(request, **named)

    def act(self, endpoint_id: UUID, body: Any, seen: Container[int] | None) -> None:
        deliveries.send_again(endpoint_id, self.delivery_id)


class SendFailedWebhooksAgainView(EndpointCommandView):
    """Send the failed deliveries of events since a time again. The oldest first: at most 1000, and
    as many as may wait for one endpoint."""

    serializer_class = SendFailedAgainShape

    def act(self, endpoint_id: UUID, body: Any, seen: Container[int] | None) -> None:
        deliveries.send_failed_again(endpoint_id, body["since"])
