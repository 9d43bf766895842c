"""The endpoints of an account, and the deliveries to them with each attempt."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound

from eventstore.models import WebhookDelivery, WebhookEndpoint
from eventstore.webhooks import endpoints, overview

from .deferred import principal
from .errors import Hidden
from .queries import PageParameters
from .serializers import Choice, OpenChoice
from .stored import StoredPagesView, StoredRowView

WEBHOOKS = "/api/queries/webhooks/"
LARGEST_ID = 2**63 - 1


class WebhookEndpointAnswer(serializers.Serializer):
    """orders: own for events of the account's own orders, all for all events. disabled_reason: gone
    (it answered 410), failing (only failures for days), owner, operator or account; "" if enabled.
    waiting, waiting_bytes: deliveries that are still to be sent. failures: failed attempts since
    the last success. former_secret_until: until when the former secret is valid."""

    endpoint_id = serializers.UUIDField(source="id")
    url = serializers.CharField()
    types = serializers.ListField(child=serializers.CharField())
    description = serializers.CharField()
    orders = serializers.SerializerMethodField()
    version = serializers.IntegerField()
    endpoint_status = OpenChoice(WebhookEndpoint.Status.values, source="status")
    disabled_reason = serializers.CharField()
    disabled_at = serializers.DateTimeField(allow_null=True)
    failures = serializers.IntegerField()
    failing_since = serializers.DateTimeField(allow_null=True)
    succeeded_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    waiting = serializers.IntegerField(source="queued")
    waiting_bytes = serializers.IntegerField(source="queued_bytes")
    secret_version = serializers.IntegerField()
    former_secret_until = serializers.DateTimeField(source="former_until", allow_null=True)
    created_at = serializers.DateTimeField()

    def get_orders(self, row: WebhookEndpoint) -> str:
        return "all" if row.is_for_all else "own"


class WebhookDeliveryAnswer(serializers.Serializer):
    """webhook_id: the header of this name. due_at: of the next attempt, while it waits. error: of
    the last attempt, or why it was not sent."""

    delivery_id = serializers.IntegerField(source="id")
    webhook_id = serializers.UUIDField(source="message_id")
    event_type = serializers.CharField(source="message.type")
    subject = serializers.SerializerMethodField()
    delivery_status = OpenChoice(WebhookDelivery.Status.values, source="status")
    attempts = serializers.IntegerField()
    due_at = serializers.DateTimeField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_subject(self, row: WebhookDelivery) -> str:
        return row.key.partition("-")[2] or row.key


class WebhookAttemptAnswer(serializers.Serializer):
    """http_status: null if there was no response. response: the beginning of its body."""

    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    seconds = serializers.FloatField()
    http_status = serializers.IntegerField(source="status", allow_null=True)
    error = serializers.CharField()
    response = serializers.CharField()


class WebhookDeliveryDetailsAnswer(WebhookDeliveryAnswer):
    """tries: the attempts, the last one first; at most a hundred."""

    tries = serializers.SerializerMethodField()

    @extend_schema_field(WebhookAttemptAnswer(many=True))
    def get_tries(self, row: WebhookDelivery) -> list[dict[str, Any]]:
        attempts = row.tries.order_by("-number")[:100]
        return [dict(WebhookAttemptAnswer(each).data) for each in attempts]


class DeliveriesParameters(PageParameters):
    status = Choice(WebhookDelivery.Status.values, required=False)


class OfEndpoint:
    request: Any
    # Whether a user may see the endpoints of other accounts; set in the URL configuration.
    sees_all: Callable[[Any], bool] = staticmethod(lambda user: False)

    def endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        """Raises NotFound, Hidden."""
        found = endpoints.find(endpoint_id)
        if found is None:
            raise NotFound
        user = self.request.user
        if found.owner != principal(user) and not self.sees_all(user):
            raise Hidden
        return found


class WebhookEndpointsView(OfEndpoint, StoredPagesView):
    """List the account's webhook endpoints. Staff with the right see all endpoints."""

    serializer_class = WebhookEndpointAnswer
    key = "id"

    def rows(self) -> QuerySet[WebhookEndpoint]:
        found = WebhookEndpoint.objects.exclude(status=endpoints.DELETED)
        user = self.request.user
        return found if self.sees_all(user) else found.filter(owner=principal(user))


class WebhookEndpointView(OfEndpoint, StoredRowView):
    """One webhook endpoint, without its secret."""

    serializer_class = WebhookEndpointAnswer

    def find(self, endpoint_id: UUID) -> WebhookEndpoint:
        return self.endpoint(endpoint_id)


class WebhookDeliveriesView(OfEndpoint, StoredPagesView):
    """List the deliveries of a webhook endpoint. The newest first."""

    serializer_class = WebhookDeliveryAnswer
    parameters = DeliveriesParameters
    key, descending = "id", True

    def rows(self, endpoint_id: UUID, status: str | None = None) -> QuerySet[WebhookDelivery]:
        found = WebhookDelivery.objects.filter(endpoint=self.endpoint(endpoint_id))
        return overview.with_messages(found if status is None else found.filter(status=status))


class WebhookDeliveryView(OfEndpoint, StoredRowView):
    """One delivery of a webhook, with the response to each attempt."""

    serializer_class = WebhookDeliveryDetailsAnswer

    def find(self, endpoint_id: UUID, delivery_id: int) -> WebhookDelivery | None:
        if delivery_id > LARGEST_ID:
            return None
        found = WebhookDelivery.objects.filter(endpoint=self.endpoint(endpoint_id), pk=delivery_id)
        return overview.with_messages(found).first()
