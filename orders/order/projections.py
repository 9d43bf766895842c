"""Order details: one row for each order, folded from the events of all contexts."""

from collections.abc import Iterable
from operator import attrgetter

from msgspec import to_builtins

from eventstore.subscriptions import Projection, Row
from inventory.events import InventoryReleased, InventoryReservationFailed, InventoryReserved
from orders.events import (
    GoodsReturned,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefundRequested,
    Portion,
    ReturnedLine,
    ReturnForgone,
    ReturnPromised,
)
from orders.models import OrderDetails
from payments.events import (
    DisputeClosed,
    LatePaymentCompleted,
    PartRefunded,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
)
from shipping.events import (
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


def order_placed(row: Row, event: OrderPlaced) -> Row:
    return row | {
        "customer_id": event.customer_id,
        "reference": event.reference,
        "status": "PLACED",
        "total": event.total.amount,
        "currency": event.total.currency,
        "exponent": event.total.exponent,
        "lines": event.lines,
        "charges": event.charges,
        "address": event.address,
        "placed_at": event.placed_at,
    }


def order_confirmed(row: Row, event: OrderConfirmed) -> Row:
    return row | {"status": "CONFIRMED"}


def order_cancelled(row: Row, event: OrderCancelled) -> Row:
    return row | {"status": "CANCELLED", "reason": event.reason}


def order_refund_requested(row: Row, event: OrderRefundRequested) -> Row:
    return row | {"status": "REFUNDING", "reason": event.reason}


def payment_requested(row: Row, event: PaymentRequested) -> Row:
    return row | {"payment_status": "REQUESTED"}


def payment_completed(row: Row, event: PaymentCompleted | LatePaymentCompleted) -> Row:
    """A refund requested before the charge completed stays requested."""
    return row | {
        "payment_status": "REFUNDING" if row["payment_status"] == "REFUNDING" else "COMPLETED"
    }


def payment_failed(row: Row, event: PaymentFailed) -> Row:
    return row | {"payment_status": "FAILED"}


def refund_requested(row: Row, event: RefundRequested) -> Row:
    return row | {"payment_status": "REFUNDING"}


def payment_refunded(row: Row, event: PaymentRefunded) -> Row:
    status = "REFUNDED" if row["status"] == "REFUNDING" else row["status"]
    return row | {
        "status": status,
        "payment_status": "REFUNDED",
        "refunded": row["refunded"] + event.amount.amount,
    }


def part_refunded(row: Row, event: PartRefunded | PaymentRefundedOutside) -> Row:
    refunded = row["refunded"] + event.amount.amount
    if row["payment_status"] not in ("COMPLETED", "PARTLY_REFUNDED"):
        return row | {"refunded": refunded}  # the whole payment is being refunded, or has been
    return row | {"payment_status": _status_after_refund(row, refunded), "refunded": refunded}


def payment_disputed(row: Row, event: PaymentDisputed) -> Row:
    return row | {"payment_status": "DISPUTED"}


def dispute_closed(row: Row, event: DisputeClosed) -> Row:
    """A won dispute restores the status from before it."""
    if not event.won:
        return row | {"payment_status": "CHARGED_BACK"}
    return row | {"payment_status": _status_after_refund(row, row["refunded"])}


def _status_after_refund(row: Row, refunded: int) -> str:
    if not refunded:
        return "COMPLETED"
    return "REFUNDED" if refunded >= row["total"] else "PARTLY_REFUNDED"


def payment_voided(row: Row, event: PaymentVoided) -> Row:
    return row | {"payment_status": "VOIDED"}


def inventory_reserved(row: Row, event: InventoryReserved) -> Row:
    return row | {"reservation_status": "RESERVED"}


def inventory_failed(row: Row, event: InventoryReservationFailed) -> Row:
    return row | {"reservation_status": "FAILED"}


def inventory_released(row: Row, event: InventoryReleased) -> Row:
    return row | {"reservation_status": "RELEASED"}


def shipment_requested(row: Row, event: ShipmentRequested) -> Row:
    return row | {"shipment_status": "REQUESTED"}


def shipment_created(row: Row, event: ShipmentCreated) -> Row:
    """The parcel may be cancelled already, or have left."""
    status = row["shipment_status"]
    return row | {
        "shipment_status": "CREATED" if status in ("NONE", "REQUESTED") else status,
        "tracking": event.tracking,
    }


def shipment_refused(row: Row, event: ShipmentRefused) -> Row:
    return row | {"shipment_status": "REFUSED"}


def cancellation_requested(row: Row, event: ShipmentCancellationRequested) -> Row:
    return row | {"shipment_status": "CANCELLING"}


def shipment_cancelled(row: Row, event: ShipmentCancelled) -> Row:
    return row | {"shipment_status": "CANCELLED"}


def shipment_shipped(row: Row, event: ShipmentShipped) -> Row:
    return row | {"shipment_status": "SHIPPED"}


def shipment_delivered(row: Row, event: ShipmentDelivered) -> Row:
    return row | {"shipment_status": "DELIVERED"}


def shipment_lost(row: Row, event: ShipmentLost) -> Row:
    return row | {"shipment_status": "LOST"}


def shipment_returned(row: Row, event: ShipmentReturned) -> Row:
    return row | {"shipment_status": "RETURNED"}


def return_promised(row: Row, event: ReturnPromised) -> Row:
    return row | {"announced": _add_units(row["announced"], event.lines, 1)}


def return_forgone(row: Row, event: ReturnForgone) -> Row:
    return row | {"announced": _add_units(row["announced"], event.lines, -1)}


def goods_returned(row: Row, event: GoodsReturned) -> Row:
    returned = _add_units(row["returned"], event.lines, 1)
    lines = list(enumerate(to_builtins(row["lines"]), start=1))
    # Free goods count only if no line has a price.
    priced = [(number, line) for number, line in lines if line["unit_price"]] or lines
    is_all_back = all(returned.get(str(number), 0) == line["quantity"] for number, line in priced)
    return row | {
        "announced": _add_units(row["announced"], event.lines, -1),
        "returned": returned,
        "return_status": "RETURNED" if is_all_back else "PARTLY_RETURNED",
    }


def _add_units(
    units: dict[str, int], portions: Iterable[Portion | ReturnedLine], sign: int
) -> dict[str, int]:
    units = dict(units)
    for portion in portions:
        number = str(portion.number)
        units[number] = units.get(number, 0) + sign * portion.quantity
    return {number: quantity for number, quantity in units.items() if quantity}


ORDER_DETAILS = Projection(
    model=OrderDetails,
    category="order",
    key=attrgetter("order_id"),
    evolve={
        OrderPlaced: order_placed,
        OrderConfirmed: order_confirmed,
        OrderCancelled: order_cancelled,
        OrderRefundRequested: order_refund_requested,
        PaymentRequested: payment_requested,
        PaymentCompleted: payment_completed,
        PaymentFailed: payment_failed,
        RefundRequested: refund_requested,
        PaymentRefunded: payment_refunded,
        PaymentVoided: payment_voided,
        LatePaymentCompleted: payment_completed,
        PaymentRefundedOutside: part_refunded,
        PaymentDisputed: payment_disputed,
        DisputeClosed: dispute_closed,
        InventoryReserved: inventory_reserved,
        InventoryReservationFailed: inventory_failed,
        InventoryReleased: inventory_released,
        ShipmentRequested: shipment_requested,
        ShipmentCreated: shipment_created,
        ShipmentRefused: shipment_refused,
        ShipmentCancellationRequested: cancellation_requested,
        ShipmentCancelled: shipment_cancelled,
        ShipmentShipped: shipment_shipped,
        ShipmentDelivered: shipment_delivered,
        ShipmentLost: shipment_lost,
        ShipmentReturned: shipment_returned,
        PartRefunded: part_refunded,
        ReturnPromised: return_promised,
        ReturnForgone: return_forgone,
        GoodsReturned: goods_returned,
    },
)
