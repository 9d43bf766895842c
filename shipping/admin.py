"""Shipments in the admin, read-only."""

from django.contrib import admin
from django.utils.safestring import SafeString

from eventstore.console import read_models
from eventstore.console.read_models import WHERE_IT_STANDS, ReadModelAdmin
from eventstore.console.read_only import one_of

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


@admin.register(ShipmentView)
class ShipmentAdmin(ReadModelAdmin):
    list_display = ("order_id", "status", "tracking", "reason")
    list_filter = (one_of("status", "status", lambda: STATUSES),)
    list_defer = ("address",)
    ordering = ("-order_id",)
    search_help_text = "The whole id of an order."
    fields = ("order_id", "status", "tracking", "reason", "to", *WHERE_IT_STANDS)

    @admin.display(description="address")
    def to(self, shipment: ShipmentView) -> SafeString:
        return read_models.address(shipment.address)
