"""Payments: one row for each order, folded from the events of its payment."""

from operator import attrgetter

from eventstore.subscriptions import Projection, Row

from .events import (
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
from .models import PaymentView


def payment_requested(row: Row, event: PaymentRequested) -> Row:
    money = event.amount
    return row | {
        "status": "REQUESTED",
        "amount": money.amount,
        "currency": money.currency,
        "exponent": money.exponent,
        "method": event.method,
    }


def payment_completed(row: Row, event: PaymentCompleted | LatePaymentCompleted) -> Row:
    """A refund requested before the charge completed stays requested."""
    money = event.amount
    return row | {
        "status": "REFUNDING" if row["status"] == "REFUNDING" else "COMPLETED",
        "amount": money.amount,
        "currency": money.currency,
        "exponent": money.exponent,
        "reference": event.reference,
    }


def payment_failed(row: Row, event: PaymentFailed) -> Row:
    return row | {"status": "FAILED", "reason": event.reason}


def refund_requested(row: Row, event: RefundRequested) -> Row:
    return row | {"status": "REFUNDING", "reason": event.reason}


def payment_refunded(row: Row, event: PaymentRefunded) -> Row:
    return row | {"status": "REFUNDED", "refunded": row["refunded"] + event.amount.amount}


def part_refunded(row: Row, event: PartRefunded | PaymentRefundedOutside) -> Row:
    refunded = row["refunded"] + event.amount.amount
    return row | {"status": _status_after_refund(row, refunded), "refunded": refunded}


def payment_voided(row: Row, event: PaymentVoided) -> Row:
    return row | {"status": "VOIDED", "reason": event.reason}


def payment_disputed(row: Row, event: PaymentDisputed) -> Row:
    return row | {"status": "DISPUTED", "reason": event.reason}


def dispute_closed(row: Row, event: DisputeClosed) -> Row:
    """A won dispute restores the status from before it."""
    if not event.won:
        return row | {"status": "CHARGED_BACK"}
    return row | {"status": _status_after_refund(row | {"status": "COMPLETED"}, row["refunded"])}


def _status_after_refund(row: Row, refunded: int) -> str:
    if row["status"] not in ("COMPLETED", "PARTLY_REFUNDED"):
        return str(row["status"])  # the whole payment is being refunded, or has been
    if not refunded:
        return "COMPLETED"
    return "REFUNDED" if refunded >= row["amount"] else "PARTLY_REFUNDED"


PAYMENTS = Projection(
    model=PaymentView,
    category="payment",
    key=attrgetter("order_id"),
    evolve={
        PaymentRequested: payment_requested,
        PaymentCompleted: payment_completed,
        PaymentFailed: payment_failed,
        RefundRequested: refund_requested,
        PaymentRefunded: payment_refunded,
        PaymentVoided: payment_voided,
        PartRefunded: part_refunded,
        PaymentRefundedOutside: part_refunded,
        LatePaymentCompleted: payment_completed,
        PaymentDisputed: payment_disputed,
        DisputeClosed: dispute_closed,
    },
)
