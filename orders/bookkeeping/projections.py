"""Credits and ledger adjustments: one row for each booking."""

from operator import attrgetter

from eventstore.subscriptions import Projection, Row
from orders.events import CreditIssued, LedgerAdjusted
from orders.models import BookingView


def credit_issued(row: Row, event: CreditIssued) -> Row:
    return row | {
        "kind": "CREDIT",
        "customer_id": event.customer_id,
        "reference": event.reference,
        "lines": event.lines,
        "charges": event.charges,
        "has_no_sale": bool(event.customer_id and event.lines),
        "amount": -event.total.amount,
        "currency": event.total.currency,
        "exponent": event.total.exponent,
        "booked_at": event.issued_at,
    }


def ledger_adjusted(row: Row, event: LedgerAdjusted) -> Row:
    return row | {
        "kind": "ADJUSTMENT",
        "reference": event.reference,
        "reason": event.reason,
        "amount": event.amount.amount,
        "currency": event.amount.currency,
        "exponent": event.amount.exponent,
        "booked_at": event.booked_at,
    }


BOOKINGS = Projection(
    model=BookingView,
    category="booking",
    key=attrgetter("booking_id"),
    evolve={
        CreditIssued: credit_issued,
        LedgerAdjusted: ledger_adjusted,
    },
)
