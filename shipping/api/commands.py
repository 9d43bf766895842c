"""The warehouse tells what became of a parcel."""

from collections.abc import Callable

from eventstore.api.commands import CommandView, known
from eventstore.api.roles import Operations
from shipping.commands import DeliverShipment, ShipShipment
from shipping.shipment import LEFT, SHIPMENT, ShipmentCalledOff


class ShipShipmentView(CommandView):
    """is_called_off: whether an order's parcel must stay here, which shipping hears of a moment later; given where the
    URLs are put together."""

    permission_classes = [Operations]
    subject, asked_at = "order_id", "/api/queries/shipments/"

    is_called_off: Callable[[str], bool] | None = None

    def command(self, order_id: str) -> ShipShipment:
        assert self.is_called_off is not None, "say as_view(is_called_off=...)"
        if known(SHIPMENT.category, order_id).status not in LEFT and self.is_called_off(order_id):
            raise ShipmentCalledOff(order_id)
        return ShipShipment(order_id)


class DeliverShipmentView(CommandView):
    permission_classes = [Operations]
    subject, asked_at = "order_id", "/api/queries/shipments/"

    def command(self, order_id: str) -> DeliverShipment:
        known(SHIPMENT.category, order_id)
        return DeliverShipment(order_id)
