"""The parcel of an order, for its customer and staff; all parcels, for staff."""

from collections.abc import Callable

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from access.authorization import Staff, may_touch, owns
from eventstore.api.queries import MomentParameters, PageParameters, PagesView, RowView
from eventstore.api.serializers import Answer, Choice, OpenChoice
from shipping.models import ShipmentView

STATUSES = (
    "REQUESTED",
    "CREATED",
    "REFUSED",
    "CANCELLING",
    "CANCELLED",
    "SHIPPED",
    "DELIVERED",
    "LOST",
    "RETURNED",
)


class ParcelAddressAnswer(serializers.Serializer):
    name = serializers.CharField()
    street = serializers.CharField()
    city = serializers.CharField()
    postcode = serializers.CharField()
    country = serializers.CharField()


@extend_schema_field(ParcelAddressAnswer)
class AddressOf(serializers.JSONField):
    """As stored."""


class ShipmentAnswer(Answer):
    order_id = serializers.CharField()
    status = OpenChoice(STATUSES)
    tracking = serializers.CharField()
    reason = serializers.CharField()
    address = AddressOf()


class ShipmentsParameters(PageParameters):
    status = Choice(STATUSES, required=False)


class ShipmentDetailsView(RowView):
    """The parcel of an order, now or at an earlier version or time."""

    serializer_class = ShipmentAnswer
    model, parameters = ShipmentView, MomentParameters
    # Order id -> customer id, which shipping does not know; set in the URL configuration.
    customer_of: Callable[[str], str | None] | None = None

    def may_see(self, row: ShipmentView) -> bool:
        customer = self._customer(row)
        return customer is not None and may_touch(self.request.user, customer)

    def is_own(self, row: ShipmentView) -> bool:
        return owns(self.request.user, self._customer(row) or "")

    def _customer(self, row: ShipmentView) -> str | None:
        assert self.customer_of is not None, "call as_view(customer_of=...)"
        return self.customer_of(row.order_id)


class ShipmentsView(PagesView):
    """Parcels, the newest first, by the time of the first event. For staff."""

    permission_classes = [Staff]
    serializer_class = ShipmentAnswer
    parameters = ShipmentsParameters
    key, moment, descending = "order_id", "created_at", True

    def rows(self, status: str | None = None) -> QuerySet[ShipmentView]:
        rows = ShipmentView.objects.all()
        return rows if status is None else rows.filter(status=status)
