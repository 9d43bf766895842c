"""The payment of one order: requested once, then completed or failed; refunded at most once."""

from eventstore.aggregate import Aggregate
from eventstore.messages import Event, State, replace
from eventstore.money import Money

from .commands import CompletePayment, CompleteRefund, FailPayment, ProcessPayment, RefundPayment
from .events import (
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
)


class Payment(State, frozen=True):
    """refunding: somebody wants the money back, whether or not it has been taken yet."""

    status: str = "new"
    amount: Money | None = None
    refunding: bool = False


def process(payment: Payment, command: ProcessPayment) -> list[Event]:
    if payment.status != "new":
        return []
    if command.amount.amount == 0:
        return [PaymentCompleted(command.order_id, command.amount, reference="nothing-to-pay")]
    return [PaymentRequested(command.order_id, command.amount, command.method)]


def complete(payment: Payment, command: CompletePayment) -> list[Event]:
    if payment.status != "requested" or payment.amount is None:
        return []
    return [PaymentCompleted(command.order_id, payment.amount, command.reference)]


def fail(payment: Payment, command: FailPayment) -> list[Event]:
    if payment.status != "requested":
        return []
    return [PaymentFailed(command.order_id, command.reason)]


def refund(payment: Payment, command: RefundPayment) -> list[Event]:
    if payment.status == "new":
        return [PaymentVoided(command.order_id, command.reason)]
    if payment.status not in ("requested", "completed") or payment.refunding or payment.amount is None:
        return []
    if payment.amount.amount == 0:
        return [PaymentRefunded(command.order_id, payment.amount, reference="nothing-to-refund")]
    return [RefundRequested(command.order_id, payment.amount, command.reason)]


def complete_refund(payment: Payment, command: CompleteRefund) -> list[Event]:
    if payment.status != "completed" or not payment.refunding or payment.amount is None:
        return []
    return [PaymentRefunded(command.order_id, payment.amount.of(command.amount), command.reference)]


def requested(payment: Payment, event: PaymentRequested) -> Payment:
    return replace(payment, status="requested", amount=event.amount)


def completed(payment: Payment, event: PaymentCompleted) -> Payment:
    return replace(payment, status="completed", amount=event.amount)


PAYMENT = Aggregate(
    category="payment",
    identity="order_id",
    initial=Payment(),
    decide={
        ProcessPayment: process,
        CompletePayment: complete,
        FailPayment: fail,
        RefundPayment: refund,
        CompleteRefund: complete_refund,
    },
    evolve={
        PaymentRequested: requested,
        PaymentCompleted: completed,
        PaymentFailed: lambda payment, event: replace(payment, status="failed"),
        RefundRequested: lambda payment, event: replace(payment, refunding=True),
        PaymentRefunded: lambda payment, event: replace(payment, status="refunded", refunding=False),
        PaymentVoided: lambda payment, event: replace(payment, status="voided"),
    },
)
