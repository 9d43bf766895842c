"""The commands of payments, and how long each payment method takes to decide."""

from collections.abc import Mapping
from datetime import timedelta

from eventstore.messages import Command, InvalidMessage
from eventstore.money import Money


class ProcessPayment(Command, frozen=True):
    """Charge the order. method: the gateway's token for the card, never the card number."""

    order_id: str
    amount: Money
    method: str


class RefundPayment(Command, frozen=True):
    """Refund the whole payment, also that of a charge under way."""

    order_id: str
    reason: str


class RefundPart(Command, frozen=True):
    """Refund a part. refund_id: what the part is for, such as a return; a repeat refunds nothing
    more.

    settled: the money was given back where the order was paid, outside this platform.
    """

    order_id: str
    refund_id: str
    amount: Money
    reason: str
    settled: bool = False

    def validate(self) -> None:
        if self.amount.amount < 1:
            raise InvalidMessage(f"RefundPart: amount {self.amount}; it must be above 0.")


class CompletePayment(Command, frozen=True):
    """The gateway's answer: charged."""

    order_id: str
    reference: str


class FailPayment(Command, frozen=True):
    """The gateway's answer: declined."""

    order_id: str
    reason: str


class CompleteRefund(Command, frozen=True):
    """The gateway's answer: this amount was refunded."""

    order_id: str
    amount: int
    reference: str


class CompletePartRefund(Command, frozen=True):
    """The gateway's answer: this amount of the part was refunded."""

    order_id: str
    refund_id: str
    amount: int
    reference: str


class FailPartRefund(Command, frozen=True):
    """The gateway's final answer: the part cannot be refunded."""

    order_id: str
    refund_id: str
    reason: str


class RecordRefund(Command, frozen=True):
    """The gateway reports a refund that we did not request. reference, charge: the gateway's ids of
    the refund and of the charge."""

    order_id: str
    amount: int
    reference: str
    charge: str = ""


class RecordDispute(Command, frozen=True):
    """The gateway reports a dispute. amount: what the bank withholds. outcome: empty, won or lost.

    reference, charge: the gateway's ids of the dispute and of the charge.
    """

    order_id: str
    amount: int
    reference: str
    reason: str
    outcome: str = ""
    charge: str = ""

    def validate(self) -> None:
        if self.outcome not in ("", "won", "lost"):
            raise InvalidMessage(
                f"RecordDispute: outcome {self.outcome!r}; it must be empty, won or lost."
            )


# The method of orders that were paid outside this platform, such as a shop's history. The gateway
# is never called for them.
ELSEWHERE = "elsewhere"

# By the beginning of the method's name after tok_. A card decides while the customer waits.
AT_ONCE = timedelta(minutes=15)
DECIDES_WITHIN: Mapping[str, timedelta] = {
    "bank_slip": timedelta(days=5),
    "bank_debit": timedelta(days=14),
    "bank_transfer": timedelta(days=7),
}


def decides_within(method: str) -> timedelta:
    """How long to wait for a payment by this method."""
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
