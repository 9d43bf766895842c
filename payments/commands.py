"""What payments can be asked for, and how long each way to pay takes to decide."""

from collections.abc import Mapping
from datetime import timedelta

from eventstore.messages import Command, InvalidMessage
from eventstore.money import Money


class ProcessPayment(Command, frozen=True):
    """method: what the gateway knows the card by, never the card itself."""

    order_id: str
    amount: Money
    method: str


class RefundPayment(Command, frozen=True):
    """Give back whatever was taken, or will have been by a charge that is under way."""

    order_id: str
    reason: str


class RefundPart(Command, frozen=True):
    """Give back some of it. refund_id: what the part is for, such as a return; asked for twice it
    is given once."""

    order_id: str
    refund_id: str
    amount: Money
    reason: str

    def validate(self) -> None:
        if self.amount.amount < 1:
            raise InvalidMessage(f"RefundPart: {self.amount} is not more than nothing.")


class CompletePayment(Command, frozen=True):
    """The gateway's answer: the money was taken."""

    order_id: str
    reference: str


class FailPayment(Command, frozen=True):
    """The gateway's answer: it takes nothing."""

    order_id: str
    reason: str


class CompleteRefund(Command, frozen=True):
    """The gateway's answer: this much went back."""

    order_id: str
    amount: int
    reference: str


class CompletePartRefund(Command, frozen=True):
    """The gateway's answer: this much of the part went back."""

    order_id: str
    refund_id: str
    amount: int
    reference: str


class FailPartRefund(Command, frozen=True):
    """The gateway's answer: nothing of the part goes back, however often it is asked for."""

    order_id: str
    refund_id: str
    reason: str


class RecordRefund(Command, frozen=True):
    """The gateway tells of a refund that we did not ask for. reference, charge: its own names for
    it and the charge."""

    order_id: str
    amount: int
    reference: str
    charge: str = ""


class RecordDispute(Command, frozen=True):
    """The gateway tells of a dispute. amount: what the bank holds back for it. outcome: "", won or
    lost.

    reference, charge: the gateway's own names for it and the charge.
    """

    order_id: str
    amount: int
    reference: str
    reason: str
    outcome: str = ""
    charge: str = ""

    def validate(self) -> None:
        if self.outcome not in ("", "won", "lost"):
            raise InvalidMessage(f"RecordDispute: {self.outcome!r} is neither won nor lost.")


# By the first word of the method's name, behind tok_. A card decides while the customer waits.
AT_ONCE = timedelta(minutes=15)
DECIDES_WITHIN: Mapping[str, timedelta] = {
    "bank_slip": timedelta(days=5),
    "bank_debit": timedelta(days=14),
    "bank_transfer": timedelta(days=7),
}


def decides_within(method: str) -> timedelta:
    """How long a payment by this method is waited for."""
    name = method.removeprefix("tok_")
    return next(
        (within for kind, within in DECIDES_WITHIN.items() if name.startswith(kind)), AT_ONCE
    )


COMMANDS = {
    "payments.process_payment": ProcessPayment,
    "payments.refund_payment": RefundPayment,
    "payments.refund_part": RefundPart,
    "payments.complete_payment": CompletePayment,
    "payments.fail_payment": FailPayment,
    "payments.complete_refund": CompleteRefund,
    "payments.complete_part_refund": CompletePartRefund,
    "payments.fail_part_refund": FailPartRefund,
    "payments.record_refund": RecordRefund,
    "payments.record_dispute": RecordDispute,
}
