"""Payments as they stand, folded from their events."""

from operator import attrgetter

from eventstore.subscriptions import Projection, Row

from .events import (
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
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


def payment_completed(row: Row, event: PaymentCompleted) -> Row:
    money = event.amount
    return row | {
        "status": "COMPLETED",
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


def payment_voided(row: Row, event: PaymentVoided) -> Row:
    return row | {"status": "VOIDED", "reason": event.reason}


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
    },
)
