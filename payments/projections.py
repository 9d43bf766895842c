"""Payments as they stand, folded from their events."""

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
    """What somebody wants back already is owed back as soon as it is here."""
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
    return row | {"status": _after_a_part(row, refunded), "refunded": refunded}


def payment_voided(row: Row, event: PaymentVoided) -> Row:
    return row | {"status": "VOIDED", "reason": event.reason}


def payment_disputed(row: Row, event: PaymentDisputed) -> Row:
    return row | {"status": "DISPUTED", "reason": event.reason}


def dispute_closed(row: Row, event: DisputeClosed) -> Row:
    """Won, it is as it was before."""
    if not event.won:
        return row | {"status": "CHARGED_BACK"}
    return row | {"status": _after_a_part(row | {"status": "COMPLETED"}, row["refunded"])}


def _after_a_part(row: Row, refunded: int) -> str:
    if row["status"] not in ("COMPLETED", "PARTLY_REFUNDED"):
        return str(row["status"])  # the rest of it is on its way back, or has gone
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
