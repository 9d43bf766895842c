"""Shipments in the admin, read-only."""

from django.contrib import admin
from django.utils.safestring import SafeString

from eventstore.console import formatting, read_models
from eventstore.console.read_models import WHERE_IT_STANDS, ReadModelAdmin
from eventstore.console.read_only import ChoiceFilter

from .models import ShipmentView

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


class StatusFilter(ChoiceFilter):
    title = parameter_name = "status"
    values = STATUSES


@admin.register(ShipmentView)
class ShipmentAdmin(ReadModelAdmin):
    list_display = ("number", "status", "tracking", "reason")
    list_filter = (StatusFilter,)
    list_defer = ("address",)
    ordering = ("-created_at", "-order_id")
    search_help_text = "The whole id of an order."
    fields = ("order_id", "status", "tracking", "reason", "to", *WHERE_IT_STANDS)

    @admin.display(description="order")
    def number(self, shipment: ShipmentView) -> SafeString:
        return formatting.short(shipment.order_id)

    @admin.display(description="address")
    def to(self, shipment: ShipmentView) -> SafeString:
        return read_models.address(shipment.address)
