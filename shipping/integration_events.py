"""What other systems get of parcels: integration events, each a contract apart from our own.

The address is not published; it is in orders.order_details.
"""

from collections.abc import Sequence

from eventstore.messages import Event, IntegrationEvent
from eventstore.subscriptions import Publication

from .events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentLost,
    ShipmentReturned,
    ShipmentShipped,
)


class ShipmentCreatedIntegrationEvent(IntegrationEvent, frozen=True):
    order_id: str
    tracking: str


class ShipmentStatusChanged(IntegrationEvent, frozen=True):
    """status: SHIPPED, DELIVERED, LOST, RETURNED or CANCELLED."""

    order_id: str
    status: str


PUBLISHED = {
    "shipping.shipment_created_integration": ShipmentCreatedIntegrationEvent,
    "shipping.shipment_status_changed": ShipmentStatusChanged,
}


def shipment_created(event: ShipmentCreated, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [ShipmentCreatedIntegrationEvent(event.order_id, event.tracking)]


def shipment_shipped(event: ShipmentShipped, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [ShipmentStatusChanged(event.order_id, "SHIPPED")]


def shipment_delivered(
    event: ShipmentDelivered, history: Sequence[Event]
) -> list[IntegrationEvent]:
    return [ShipmentStatusChanged(event.order_id, "DELIVERED")]


def shipment_lost(event: ShipmentLost, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [ShipmentStatusChanged(event.order_id, "LOST")]


def shipment_returned(event: ShipmentReturned, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [ShipmentStatusChanged(event.order_id, "RETURNED")]


def shipment_cancelled(
    event: ShipmentCancelled, history: Sequence[Event]
) -> list[IntegrationEvent]:
    return [ShipmentStatusChanged(event.order_id, "CANCELLED")]


PUBLICATION = Publication(
    publish={
        ShipmentCreated: shipment_created,
        ShipmentShipped: shipment_shipped,
        ShipmentDelivered: shipment_delivered,
        ShipmentLost: shipment_lost,
        ShipmentReturned: shipment_returned,
        ShipmentCancelled: shipment_cancelled,
    },
)
