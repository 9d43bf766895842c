"""The warehouse tells what became of a parcel."""

from eventstore.api.commands import CommandView, known
from eventstore.api.roles import Operations
from shipping.commands import DeliverShipment, ShipShipment
from shipping.shipment import SHIPMENT


class ShipShipmentView(CommandView):
    permission_classes = [Operations]
    subject, asked_at = "order_id", "/api/queries/shipments/"

    def command(self, order_id: str) -> ShipShipment:
        known(SHIPMENT.category, order_id)
        return ShipShipment(order_id)


class DeliverShipmentView(CommandView):
    permission_classes = [Operations]
    subject, asked_at = "order_id", "/api/queries/shipments/"

    def command(self, order_id: str) -> DeliverShipment:
        known(SHIPMENT.category, order_id)
        return DeliverShipment(order_id)
