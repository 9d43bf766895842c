"""What has happened to an order, as its customer may see it, and how far the process is that fulfils it.

Events are told by an allow-list of their fields: what is not named here, such as how it was paid, stays with us.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from eventstore import freshness as log
from eventstore import registry
from eventstore.api import freshness
from eventstore.api.queries import ONLY_HIS, NoParameters, QueryView, parameters
from eventstore.api.roles import may_touch
from eventstore.api.shapes import Digits, Shape
from eventstore.codec import decode_json, encode_json
from eventstore.messages import Event, Message
from eventstore.models import SagaState
from eventstore.subscriptions import Saga
from inventory.events import InventoryReleased, InventoryReservationFailed, InventoryReserved
from orders.events import GoodsReturned, OrderCancelled, OrderConfirmed, OrderPlaced, ReturnForgone, ReturnPromised
from orders.models import OrderDetails
from payments.events import (
    PartRefunded,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
)
from shipping.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentRefused,
    ShipmentRequested,
    ShipmentShipped,
)

SHOWN: Mapping[type[Event], Sequence[str]] = {
    OrderPlaced: ("lines", "charges", "total", "address", "placed_at", "reference"),
    OrderConfirmed: (),
    OrderCancelled: ("reason",),
    PaymentRequested: ("amount",),
    PaymentCompleted: ("amount",),
    PaymentFailed: ("reason",),
    PaymentVoided: (),
    RefundRequested: ("amount",),
    PaymentRefunded: ("amount",),
    PartRefunded: ("amount",),
    InventoryReserved: ("lines",),
    InventoryReservationFailed: ("shortages",),
    InventoryReleased: (),
    ShipmentRequested: ("address",),
    ShipmentCreated: ("tracking",),
    ShipmentRefused: ("reason",),
    ShipmentCancelled: (),
    ShipmentShipped: (),
    ShipmentDelivered: (),
    ReturnPromised: ("return_id", "lines", "charges"),
    ReturnForgone: ("return_id", "lines", "charges"),
    GoodsReturned: ("return_id", "lines", "refund"),
}


class HistoryParameters(Shape):
    """after: position of the last event that was seen."""

    after = Digits(min_value=0, max_value=10**18, default=0)
    limit = Digits(min_value=1, max_value=100, default=100)


class ProcessAnswer(serializers.ModelSerializer):
    """process: its name. deadline_at: when its present step is late."""

    process = serializers.CharField(source="saga")

    class Meta:
        model = SagaState
        fields = ("process", "status", "started_at", "updated_at", "deadline_at")


class _OfOneOrder(QueryView):
    def order(self, order_id: str) -> OrderDetails:
        """By the log, where the read model does not know of it yet."""
        known = freshness.row(OrderDetails, order_id, freshness.FROM_THE_LOG, self._may_see)
        if known.row is None:
            raise NotFound
        self.standing = known.standing
        return known.row  # type: ignore[no-any-return]

    def _may_see(self, row: OrderDetails) -> bool:
        return may_touch(self.request.user, row.customer_id)


class OrderHistoryView(_OfOneOrder):
    """From the log itself, and so never stale."""

    def get(self, request: Request, order_id: str) -> Response:
        asked = parameters(HistoryParameters, request)
        self.order(order_id)
        events = [each for each in log.history(OrderDetails, order_id) if each.position > asked["after"]]
        page, has_more = events[: asked["limit"]], len(events) > asked["limit"]
        following = f"{request.path}?after={page[-1].position}&limit={asked['limit']}" if has_more else None
        body = {"data": [_told(each) for each in page], "has_more": has_more, "next": following}
        return Response(body, headers=ONLY_HIS | {"X-Answered-From": freshness.EVENT_LOG})


class OrderProgressView(_OfOneOrder):
    """Conducted, an order is in the hands of one process; by choreography, of one in each context."""

    def get(self, request: Request, order_id: str) -> Response:
        parameters(NoParameters, request)
        self.order(order_id)
        sagas = [name for name, each in registry.subscriptions().items() if isinstance(each, Saga)]
        found = SagaState.objects.filter(saga__in=sagas, key=order_id).order_by("saga")
        body = {"order_id": order_id, "processes": ProcessAnswer(found, many=True).data}
        return Response(body, headers=ONLY_HIS)


def _told(message: Message) -> dict[str, Any]:
    fields = decode_json(encode_json(message.body))
    return {
        "position": message.position,
        "version": message.version,
        "type": message.type,
        "recorded_at": message.recorded_at,
        "data": {name: fields[name] for name in SHOWN[type(message.body)]},
    }
