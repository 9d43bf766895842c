"""The parcel of an order, for its customer and for staff."""

from collections.abc import Callable

from rest_framework import serializers

from eventstore.api.queries import RowView
from eventstore.api.roles import may_touch
from eventstore.api.shapes import Answer
from shipping import queries
from shipping.models import ShipmentView


class ShipmentAnswer(Answer):
    order_id = serializers.CharField()
    status = serializers.CharField()
    tracking = serializers.CharField()
    reason = serializers.CharField()
    address = serializers.JSONField()


class ShipmentDetailsView(RowView):
    """customer_of: whose order it is, which shipping does not know; given where the URLs are put together."""

    serializer_class = ShipmentAnswer
    customer_of: Callable[[str], str | None] | None = None

    def row(self, order_id: str) -> ShipmentView | None:
        assert self.customer_of is not None, "say as_view(customer_of=...)"
        customer = self.customer_of(order_id)
        if customer is None or not may_touch(self.request.user, customer):
            return None
        return queries.get_shipment(order_id)
