"""What has happened to an order, as its customer may see it, and how far the process is that
fulfils it.

What is told of each event, orders/api/public_events.py says.
"""

from drf_spectacular.utils import extend_schema
from msgspec import to_builtins
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from access.permissions import may_touch, owns
from eventstore import log, registry, settings
from eventstore.api import read_your_writes, reveal
from eventstore.api.openapi import LISTS, REVEAL
from eventstore.api.queries import PRIVATE_HEADERS, NoParameters, QueryView, link, parameters
from eventstore.api.serializers import Digits, StrictSerializer
from eventstore.models import SagaState
from eventstore.subscriptions import Saga
from orders.api import public_events as timeline
from orders.models import OrderDetails


class HistoryParameters(StrictSerializer):
    """after: position of the last event that was seen."""

    after = Digits(min_value=0, max_value=10**18 - 1, default=0)
    limit = Digits(min_value=1, max_value=100, default=100)


class ProcessAnswer(serializers.ModelSerializer):
    """process: its name. deadline_at: when its present step is late."""

    process = serializers.CharField(source="saga")

    class Meta:
        model = SagaState
        fields = ("process", "status", "started_at", "updated_at", "deadline_at")


class ProgressAnswer(serializers.Serializer):
    order_id = serializers.CharField()
    processes = ProcessAnswer(many=True)


class EventAnswer(serializers.Serializer):
    """As a socket tells it. version: in the event's own stream, named by its category."""

    position = serializers.IntegerField()
    order_id = serializers.CharField()
    category = serializers.CharField()
    version = serializers.IntegerField()
    type = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    data = serializers.DictField()  # type: ignore[assignment]


class HistoryAnswer(serializers.Serializer):
    data = EventAnswer(many=True)  # type: ignore[assignment]
    has_more = serializers.BooleanField()
    next = serializers.CharField(allow_null=True)


class _OfOneOrder(QueryView):
    def order(self, order_id: str) -> OrderDetails:
        """By the log, where the read model does not know of it yet."""
        known = read_your_writes.row(
            OrderDetails, order_id, read_your_writes.FROM_THE_LOG, self._may_see, note=self.note
        )
        if known.row is None:
            raise NotFound
        return known.row  # type: ignore[no-any-return]

    def is_own(self, row: OrderDetails) -> bool:
        return owns(self.request.user, row.customer_id)

    def _may_see(self, row: OrderDetails) -> bool:
        return may_touch(self.request.user, row.customer_id)


class OrderHistoryView(_OfOneOrder):
    """From the log itself. What is being written just now is told once all that began before it is
    over, so that it cannot come to stand before what has been told. `Min-Position` waits for
    that."""

    parameters, answer = HistoryParameters, HistoryAnswer

    @extend_schema(parameters=[*LISTS, REVEAL])
    def get(self, request: Request, order_id: str) -> Response:
        asked = parameters(HistoryParameters, request)
        order = self.order(order_id)
        is_told_all = self.is_own(order) or reveal.is_revealed(request, f"order {order_id}")
        after, limit, until = (
            asked["after"],
            asked["limit"],
            read_your_writes.end_for_pages(self.wanted()),
        )
        streams = timeline.streams([order_id])
        events, has_more = log.read_page_of_streams(
            streams,
            types=timeline.types(),
            after=after,
            until=until,
            limit=limit,
            bytes_=settings.page_bytes(),
        )
        tell = timeline.entry if is_told_all else timeline.masked
        page = [tell(event) for event in events]
        following = f"{request.path}?after={page[-1].position}&limit={limit}" if has_more else None
        body = {"data": to_builtins(page), "has_more": has_more, "next": following}
        kept = PRIVATE_HEADERS | (reveal.UNKEPT if reveal.HEADER in request.headers else {})
        return Response(
            body, headers=kept | {"X-Answered-From": read_your_writes.EVENT_LOG} | link(following)
        )


class OrderProgressView(_OfOneOrder):
    """Conducted, an order is in the hands of one process; by choreography, of one in each
    context."""

    answer = ProgressAnswer

    def get(self, request: Request, order_id: str) -> Response:
        parameters(NoParameters, request)
        self.order(order_id)
        sagas = [name for name, each in registry.subscriptions().items() if isinstance(each, Saga)]
        found = SagaState.objects.filter(saga__in=sagas, key=order_id).order_by("saga")
        body = {"order_id": order_id, "processes": ProcessAnswer(found, many=True).data}
        return Response(body, headers=PRIVATE_HEADERS)
