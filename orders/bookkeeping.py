"""What is booked beside orders: credits that no order knows of, and adjustments of the ledger; each once."""

from eventstore.aggregate import Aggregate
from eventstore.messages import Event, State
from eventstore.money import Money

from . import portions
from .commands import AdjustLedger, IssueCredit
from .events import CreditIssued, LedgerAdjusted


class Booking(State, frozen=True):
    status: str = "new"


def issue_credit(booking: Booking, command: IssueCredit) -> list[Event]:
    if booking.status != "new":
        return []
    return [
        CreditIssued(
            booking_id=command.booking_id,
            customer_id=command.customer_id,
            lines=command.lines,
            charges=command.charges,
            total=Money(portions.value((*command.lines, *command.charges)), command.currency, command.exponent),
            reference=command.reference,
            issued_at=command.issued_at,
        )
    ]


def adjust_ledger(booking: Booking, command: AdjustLedger) -> list[Event]:
    if booking.status != "new":
        return []
    return [LedgerAdjusted(command.booking_id, command.amount, command.reason, command.reference, command.booked_at)]


BOOKING = Aggregate(
    category="booking",
    identity="booking_id",
    initial=Booking(),
    decide={
        IssueCredit: issue_credit,
        AdjustLedger: adjust_ledger,
    },
    evolve={
        CreditIssued: lambda booking, event: Booking("booked"),
        LedgerAdjusted: lambda booking, event: Booking("booked"),
    },
)
