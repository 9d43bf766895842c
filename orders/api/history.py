"""The history of an order in its public form (public_events.py), and the state of its processes."""

from drf_spectacular.utils import extend_schema
from msgspec import to_builtins
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from access.authorization import may_touch, owns
from eventstore import log, registry, settings
from eventstore.api import read_your_writes, reveal
from eventstore.api.errors import all_of
from eventstore.api.openapi import LISTS, REVEAL
from eventstore.api.queries import PRIVATE_HEADERS, NoParameters, QueryView, link, parameters
from eventstore.api.serializers import Digits, StrictSerializer
from eventstore.models import SagaState
from eventstore.subscriptions import Saga
from orders.api import public_events
from orders.models import OrderDetails


class HistoryParameters(StrictSerializer):
    """after: position of the last event seen."""

    after = Digits(min_value=0, max_value=10**18 - 1, default=0)
    limit = Digits(min_value=1, max_value=100, default=100)


class ProcessAnswer(serializers.ModelSerializer):
    """process: its name. deadline_at: when the present step times out."""

    process = serializers.CharField(source="saga")

    class Meta:
        model = SagaState
        fields = ("process", "status", "started_at", "updated_at", "deadline_at")


class ProgressAnswer(serializers.Serializer):
    order_id = serializers.CharField()
    processes = ProcessAnswer(many=True)


class EventAnswer(serializers.Serializer):
    """As sent on a socket. version: in the stream of the category."""

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
        """Read from the log while the read model does not have the order. Raises NotFound."""

        def may_see(row: OrderDetails) -> bool:
            return may_touch(self.request.user, row.customer_id)

        known = read_your_writes.row(
            OrderDetails, order_id, read_your_writes.FROM_THE_LOG, may_see, note=self.note
        )
        if known.row is None:
            raise NotFound
        return known.row  # type: ignore[no-any-return]

    def is_own(self, row: OrderDetails) -> bool:
        return owns(self.request.user, row.customer_id)


class OrderHistoryView(_OfOneOrder):
    """The events of an order. They are read from the log, up to its high-water mark: an event
    appears once every transaction that began before it has ended, so that no later page has an
    earlier event. `Min-Position` waits for that."""

    parameters, answer = HistoryParameters, HistoryAnswer

    @extend_schema(parameters=[*LISTS, REVEAL])
    def get(self, request: Request, order_id: str) -> Response:
        given, minimum, reason = all_of(
            lambda: parameters(HistoryParameters, request),
            self.wanted,
            lambda: reveal.reason_of(request),
        )
        order = self.order(order_id)
        is_revealed = self.is_own(order) or reveal.is_revealed(request, f"order {order_id}", reason)
        events, has_more = log.read_page_of_streams(
            public_events.streams([order_id]),
            types=public_events.types(),
            after=given["after"],
            until=read_your_writes.end_for_pages(minimum),
            limit=given["limit"],
            bytes_=settings.page_bytes(),
        )
        entry_of = public_events.entry if is_revealed else public_events.masked
        page = [entry_of(event) for event in events]
        next_ = f"?after={page[-1].position}&limit={given['limit']}" if has_more else ""
        following = f"{request.path}{next_}" if next_ else None
        body = {"data": to_builtins(page), "has_more": has_more, "next": following}
        headers = PRIVATE_HEADERS | {"X-Answered-From": read_your_writes.EVENT_LOG}
        if reveal.HEADER in request.headers:
            headers = headers | reveal.UNKEPT
        return Response(body, headers=headers | link(following))


class OrderProgressView(_OfOneOrder):
    """The processes of an order: one if orders are orchestrated, one in each context if they are
    choreographed."""

    answer = ProgressAnswer

    def get(self, request: Request, order_id: str) -> Response:
        parameters(NoParameters, request)
        self.order(order_id)
        sagas = [*registry.of_kind(Saga)]
        found = SagaState.objects.filter(saga__in=sagas, key=order_id).order_by("saga")
        body = {"order_id": order_id, "processes": ProcessAnswer(found, many=True).data}
        return Response(body, headers=PRIVATE_HEADERS)
