"""Returns: one row for each."""

from eventstore.subscriptions import DELETED, Deleted, Projection, Row
from orders.events import (
    GoodsReturned,
    ReturnClosed,
    ReturnCompleted,
    ReturnContinued,
    ReturnRequested,
)
from orders.models import ReturnView
from orders.returns.saga import return_of
from payments.events import PartRefunded


def return_requested(row: Row, event: ReturnRequested) -> Row:
    return row | {
        "order_id": event.order_id,
        "customer_id": event.customer_id,
        "reference": event.reference,
        "status": "REQUESTED",
        "reason": event.reason,
        "lines": event.lines,
        "charges": event.charges,
        "refund": event.refund.amount,
        "currency": event.refund.currency,
        "exponent": event.refund.exponent,
        "requested_at": event.requested_at,
    }


def goods_returned(row: Row, event: GoodsReturned) -> Row:
    return row | {
        "status": "RECEIVED",
        "lines": event.lines,
        "refund": event.refund.amount,
        "received_at": event.received_at,
    }


def return_continued(row: Row, event: ReturnContinued) -> Row:
    """The later parcel is a return with its own row, which refers to this one."""
    return row


def part_refunded(row: Row, event: PartRefunded) -> Row | Deleted:
    """A partial refund for another reason is not a return: it has no row."""
    return row | {"refunded": event.amount.amount} if row["order_id"] else DELETED


def return_completed(row: Row, event: ReturnCompleted) -> Row:
    return row | {"status": "COMPLETED"}


def return_closed(row: Row, event: ReturnClosed) -> Row:
    return row | {"status": "CLOSED", "refund": 0, "reason": event.reason}


RETURNS = Projection(
    model=ReturnView,
    category="return",
    key=return_of,
    evolve={
        ReturnRequested: return_requested,
        GoodsReturned: goods_returned,
        ReturnContinued: return_continued,
        PartRefunded: part_refunded,
        ReturnCompleted: return_completed,
        ReturnClosed: return_closed,
    },
)
