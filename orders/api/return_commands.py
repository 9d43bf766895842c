"""Commands of returns: customers send goods back, support may refund charges too, operations
receives the goods or closes the return."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied

from access.authorization import Operations, is_staff, may_act_for
from eventstore.api.commands import CommandView, known
from eventstore.api.errors import Hidden
from eventstore.api.serializers import LINES, Many, StrictSerializer, Text, Whole
from orders.api.cards import no_card_number
from orders.commands import CloseReturn, ReceiveReturn, RequestReturn
from orders.events import Portion
from orders.order.aggregate import ORDER
from orders.returns.aggregate import RETURN

MOST_PORTIONS = 10_000


class PortionShape(StrictSerializer):
    """number: of the order's line or charge, counted from 1."""

    makes = Portion
    number = Whole(min_value=1)
    quantity = Whole(min_value=1)


class Portions(Many):
    def __init__(self, **options: Any) -> None:
        super().__init__(child=PortionShape(), max_length=MOST_PORTIONS, **options)


class RequestReturnShape(StrictSerializer):
    """charges: for example postage; refunded without goods, by staff only."""

    lines = Portions(default=list)
    charges = Portions(default=list)
    reason = Text(rule=LINES, validators=[no_card_number])

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if not values["lines"] and not values["charges"]:
            raise serializers.ValidationError(
                {"lines": ["Name at least one line or charge to return."]}, "empty"
            )
        return values


class ReceiveReturnShape(StrictSerializer):
    """lines: the goods that arrived, if not all that are awaited. delivery: the parcel's name; it
    distinguishes two parcels with the same contents."""

    lines = Portions(required=False, min_length=1)
    delivery = Text(allow_blank=True, default="", max_length=100)


class CloseReturnShape(StrictSerializer):
    reason = Text(rule=LINES)


class RequestReturnView(CommandView):
    """Request a return of a confirmed order. For its customer, and for support."""

    serializer_class = RequestReturnShape
    id_field, query_url = "return_id", "/api/queries/returns/"

    def command(
        self, order_id: str, lines: list[Portion], charges: list[Portion], reason: str
    ) -> RequestReturn:
        order: Any = known(ORDER.category, order_id)
        if not may_act_for(self.request.user, order.customer_id):
            raise Hidden
        if charges and not is_staff(self.request.user):
            raise PermissionDenied
        return RequestReturn(
            return_id=self.new_id(),
            order_id=order_id,
            lines=tuple(lines),
            charges=tuple(charges),
            reason=reason,
            requested_at=timezone.now(),
        )


class ReceiveReturnView(CommandView):
    """Record that goods of a return arrived. They are restocked and refunded."""

    permission_classes = [Operations]
    serializer_class = ReceiveReturnShape
    id_field, query_url = "return_id", "/api/queries/returns/"

    def command(
        self, return_id: str, delivery: str, lines: list[Portion] | None = None
    ) -> ReceiveReturn:
        waiting: Any = known(RETURN.category, return_id)
        return ReceiveReturn(
            return_id, waiting.order_id, tuple(lines or ()), timezone.now(), delivery
        )


class CloseReturnView(CommandView):
    """Close a return whose goods did not arrive. Nothing is refunded."""

    permission_classes = [Operations]
    serializer_class = CloseReturnShape
    id_field, query_url = "return_id", "/api/queries/returns/"

    def command(self, return_id: str, reason: str) -> CloseReturn:
        waiting: Any = known(RETURN.category, return_id)
        return CloseReturn(return_id, waiting.order_id, reason)
