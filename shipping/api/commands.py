"""Commands of the warehouse: ship a parcel, deliver it."""

from collections.abc import Callable

from access.authorization import Operations
from eventstore.api.commands import CommandView, known
from shipping.commands import DeliverShipment, ShipShipment
from shipping.shipment import LEFT, SHIPMENT, ShipmentCalledOff


class ShipShipmentView(CommandView):
    """Record that a parcel was handed to the carrier."""

    permission_classes = [Operations]
    id_field, query_url = "order_id", "/api/queries/shipments/"

    # Order id -> whether the parcel must not leave; set in the URL configuration. Shipping itself
    # learns of a cancellation a moment later, and of a refund not at all.
    stays_here: Callable[[str], bool] | None = None

    def command(self, order_id: str) -> ShipShipment:
        assert self.stays_here is not None, "call as_view(stays_here=...)"
        if known(SHIPMENT.category, order_id).status not in LEFT and self.stays_here(order_id):
            raise ShipmentCalledOff(order_id)
        return ShipShipment(order_id)


class DeliverShipmentView(CommandView):
    """Record that a parcel was delivered."""

    permission_classes = [Operations]
    id_field, query_url = "order_id", "/api/queries/shipments/"

    def command(self, order_id: str) -> DeliverShipment:
        known(SHIPMENT.category, order_id)
        return DeliverShipment(order_id)
