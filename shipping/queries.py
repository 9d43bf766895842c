"""What the read model of parcels can be asked."""

from .models import ShipmentView


def get_shipment(order_id: str) -> ShipmentView | None:
    return ShipmentView.objects.filter(order_id=order_id).first()
