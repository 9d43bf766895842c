"""The warehouse tells what became of a parcel."""

from collections.abc import Callable

from access.permissions import Operations
from eventstore.api.commands import CommandView, known
from shipping.commands import DeliverShipment, ShipShipment
from shipping.shipment import LEFT, SHIPMENT, ShipmentCalledOff


class ShipShipmentView(CommandView):
    """stays_here: whether an order's parcel must not be handed over, which shipping hears of a
    moment later, if at all; given where the URLs are put together."""

    permission_classes = [Operations]
    id_field, query_url = "order_id", "/api/queries/shipments/"

    stays_here: Callable[[str], bool] | None = None

    def command(self, order_id: str) -> ShipShipment:
        assert self.stays_here is not None, "say as_view(stays_here=...)"
        if known(SHIPMENT.category, order_id).status not in LEFT and self.stays_here(order_id):
            raise ShipmentCalledOff(order_id)
        return ShipShipment(order_id)


class DeliverShipmentView(CommandView):
    permission_classes = [Operations]
    id_field, query_url = "order_id", "/api/queries/shipments/"

    def command(self, order_id: str) -> DeliverShipment:
        known(SHIPMENT.category, order_id)
        return DeliverShipment(order_id)
