"""Bookings without an order: credits and ledger adjustments, each booked once."""

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Event, State
from eventstore.money import Money
from orders.commands import AdjustLedger, IssueCredit
from orders.events import CreditIssued, LedgerAdjusted
from orders.returns import quantities


class BookedOtherwise(CommandRejected):
    """A different booking has this id."""


class Booking(State, frozen=True):
    """credit, adjustment: the event that booked it; one of the two at most."""

    credit: CreditIssued | None = None
    adjustment: LedgerAdjusted | None = None


def issue_credit(booking: Booking, command: IssueCredit) -> list[Event]:
    credit = CreditIssued(
        booking_id=command.booking_id,
        customer_id=command.customer_id,
        lines=command.lines,
        charges=command.charges,
        total=Money(
            quantities.total((*command.lines, *command.charges)),
            command.currency,
            command.exponent,
        ),
        reference=command.reference,
        issued_at=command.issued_at,
    )
    return _book_once(booking, credit)


def adjust_ledger(booking: Booking, command: AdjustLedger) -> list[Event]:
    adjustment = LedgerAdjusted(
        command.booking_id, command.amount, command.reason, command.reference, command.booked_at
    )
    return _book_once(booking, adjustment)


def _book_once(booking: Booking, event: CreditIssued | LedgerAdjusted) -> list[Event]:
    booked = booking.credit or booking.adjustment
    if booked is None:
        return [event]
    if booked != event:
        raise BookedOtherwise(f"Booking {event.booking_id}, reference {event.reference!r}.")
    return []


BOOKING = Aggregate(
    category="booking",
    identity="booking_id",
    initial=Booking(),
    decide={
        IssueCredit: issue_credit,
        AdjustLedger: adjust_ledger,
    },
    evolve={
        CreditIssued: lambda booking, event: Booking(credit=event),
        LedgerAdjusted: lambda booking, event: Booking(adjustment=event),
    },
)
