"""Parcels: one row for each order, folded from the events of its shipment."""

from operator import attrgetter

from eventstore.subscriptions import Projection, Row

from .events import (
    ShipmentCancellationRequested,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentLost,
    ShipmentRefused,
    ShipmentRequested,
    ShipmentReturned,
    ShipmentShipped,
)
from .models import ShipmentView


def shipment_requested(row: Row, event: ShipmentRequested) -> Row:
    return row | {"status": "REQUESTED", "address": event.address}


def shipment_created(row: Row, event: ShipmentCreated) -> Row:
    """The parcel may be cancelled already, or have left."""
    return row | {
        "status": "CREATED" if row["status"] in ("NEW", "REQUESTED") else row["status"],
        "tracking": event.tracking,
    }


def shipment_refused(row: Row, event: ShipmentRefused) -> Row:
    return row | {"status": "REFUSED", "reason": event.reason}


def cancellation_requested(row: Row, event: ShipmentCancellationRequested) -> Row:
    return row | {"status": "CANCELLING", "reason": event.reason}


def shipment_cancelled(row: Row, event: ShipmentCancelled) -> Row:
    return row | {"status": "CANCELLED"}


def shipment_shipped(row: Row, event: ShipmentShipped) -> Row:
    return row | {"status": "SHIPPED"}


def shipment_delivered(row: Row, event: ShipmentDelivered) -> Row:
    return row | {"status": "DELIVERED"}


def shipment_lost(row: Row, event: ShipmentLost) -> Row:
    return row | {"status": "LOST"}


def shipment_returned(row: Row, event: ShipmentReturned) -> Row:
    return row | {"status": "RETURNED"}


SHIPMENTS = Projection(
    model=ShipmentView,
    category="shipment",
    key=attrgetter("order_id"),
    evolve={
        ShipmentRequested: shipment_requested,
        ShipmentCreated: shipment_created,
        ShipmentRefused: shipment_refused,
        ShipmentCancellationRequested: cancellation_requested,
        ShipmentCancelled: shipment_cancelled,
        ShipmentShipped: shipment_shipped,
        ShipmentDelivered: shipment_delivered,
        ShipmentLost: shipment_lost,
        ShipmentReturned: shipment_returned,
    },
)
