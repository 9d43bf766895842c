"""The payment of one order: requested once, then completed or failed; refunded in parts, or all that is left."""

from collections.abc import Callable

from eventstore.aggregate import Aggregate, Refusal
from eventstore.messages import Event, State, replace
from eventstore.money import Money

from . import parts
from .commands import (
    CompletePartRefund,
    CompletePayment,
    CompleteRefund,
    FailPartRefund,
    FailPayment,
    ProcessPayment,
    RefundPart,
    RefundPayment,
)
from .events import (
    PartRefunded,
    PartRefundLapsed,
    PartRefundPromised,
    PartRefundRequested,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
)
from .parts import Part


class NothingLeftToRefund(Refusal):
    """Nothing was taken, or all of it goes back already."""


class MoreThanWasPaid(Refusal):
    """The parts given back would come to more than was taken, or are of another currency."""


class NotRefundable(Refusal):
    """The payment provider cannot give back this amount."""


class PaymentIsAnother(Refusal):
    """A payment of this order is there, of another amount or by another method."""


class RefundIsAnother(Refusal):
    """A part under this name goes back already, of another amount."""


class Payment(State, frozen=True):
    """refunding: somebody wants the money back, whether or not it has been taken yet."""

    status: str = "new"
    amount: Money | None = None
    method: str = ""
    refunding: bool = False
    parts: tuple[Part, ...] = ()


def process(payment: Payment, command: ProcessPayment) -> list[Event]:
    if payment.amount is not None and (payment.amount, payment.method) != (command.amount, _method(command)):
        raise PaymentIsAnother(f"{command.order_id} is paid by {payment.amount}, not {command.amount}.")
    if payment.status != "new":
        return []
    if command.amount.amount == 0:
        free = PaymentCompleted(command.order_id, command.amount, reference="nothing-to-pay")
        return [free, *parts.fall_due(payment.parts, free)]
    return [PaymentRequested(command.order_id, command.amount, command.method)]


def complete(payment: Payment, command: CompletePayment) -> list[Event]:
    if payment.status != "requested" or payment.amount is None:
        return []
    completed = PaymentCompleted(command.order_id, payment.amount, command.reference)
    return [completed, *parts.fall_due(payment.parts, completed)]


def fail(payment: Payment, command: FailPayment) -> list[Event]:
    if payment.status != "requested":
        return []
    lapsed = parts.lapse(payment.parts, command.order_id, "the payment failed")
    return [PaymentFailed(command.order_id, command.reason), *lapsed]


def refund(payment: Payment, command: RefundPayment) -> list[Event]:
    lapsed = parts.lapse(payment.parts, command.order_id, "the whole payment goes back")
    if payment.status == "new":
        return [PaymentVoided(command.order_id, command.reason), *lapsed]
    if payment.status not in ("requested", "completed") or payment.refunding or payment.amount is None:
        return []
    # Before the charge is answered nothing has gone back: parts are promised at most, and lapse here.
    gone = payment.parts if payment.status == "completed" else ()
    left = payment.amount.of(parts.left(payment.amount, gone))
    if left.amount == 0:
        return [PaymentRefunded(command.order_id, left, reference="nothing-to-refund")]
    return [RefundRequested(command.order_id, left, command.reason), *lapsed]


def refund_part(payment: Payment, command: RefundPart) -> list[Event]:
    for part in payment.parts:
        if part.refund_id == command.refund_id:
            if part.amount != command.amount:
                raise RefundIsAnother(f"{command.refund_id} gives back {part.amount}, not {command.amount}.")
            return []
    if payment.refunding or payment.status in ("failed", "refunded", "voided"):
        raise NothingLeftToRefund(f"The payment of {command.order_id} is {payment.status}.")
    if payment.amount is not None and not _has_left(payment, command.amount, of=payment.amount):
        raise MoreThanWasPaid(f"{command.amount} is more than is left of {payment.amount} for {command.order_id}.")
    said = PartRefundRequested if payment.status == "completed" else PartRefundPromised
    return [said(command.order_id, command.refund_id, command.amount, command.reason)]


def complete_refund(payment: Payment, command: CompleteRefund) -> list[Event]:
    if payment.status != "completed" or not payment.refunding or payment.amount is None:
        return []
    return [PaymentRefunded(command.order_id, payment.amount.of(command.amount), command.reference)]


def complete_part(payment: Payment, command: CompletePartRefund) -> list[Event]:
    for part in payment.parts:
        if part.refund_id == command.refund_id and part.status == "requested":
            went_back = part.amount.of(command.amount)
            return [PartRefunded(command.order_id, command.refund_id, went_back, command.reference)]
    return []


def fail_part(payment: Payment, command: FailPartRefund) -> list[Event]:
    for part in payment.parts:
        if part.refund_id == command.refund_id and part.status == "requested":
            return [PartRefundLapsed(command.order_id, command.refund_id, command.reason)]
    return []


def limited(refundable: Callable[[Money], str]) -> Aggregate:
    """refundable: why the provider cannot give back an amount; nothing, if it can. Then a part of it is not asked for,
    and nothing waits behind it."""

    def refund_part_if_possible(payment: Payment, command: RefundPart) -> list[Event]:
        events = refund_part(payment, command)
        if events and (why := refundable(command.amount)):
            raise NotRefundable(why)
        return events

    return PAYMENT._replace(decide={**PAYMENT.decide, RefundPart: refund_part_if_possible})


def _method(command: ProcessPayment) -> str:
    """Where there is nothing to pay, no method is noted."""
    return command.method if command.amount.amount else ""


def _has_left(payment: Payment, part: Money, *, of: Money) -> bool:
    return parts.is_within(part, parts.left(of, payment.parts), of)


def requested(payment: Payment, event: PaymentRequested) -> Payment:
    return replace(payment, status="requested", amount=event.amount, method=event.method)


def completed(payment: Payment, event: PaymentCompleted) -> Payment:
    return replace(payment, status="completed", amount=event.amount)


def part_noted(payment: Payment, event: PartRefundPromised | PartRefundRequested) -> Payment:
    status = "promised" if isinstance(event, PartRefundPromised) else "requested"
    others = tuple(part for part in payment.parts if part.refund_id != event.refund_id)
    return replace(payment, parts=(*others, Part(event.refund_id, event.amount, event.reason, status)))


def part_ended(payment: Payment, event: PartRefunded | PartRefundLapsed) -> Payment:
    status = "refunded" if isinstance(event, PartRefunded) else "lapsed"
    ended = (replace(part, status=status) if part.refund_id == event.refund_id else part for part in payment.parts)
    return replace(payment, parts=tuple(ended))


PAYMENT = Aggregate(
    category="payment",
    identity="order_id",
    initial=Payment(),
    decide={
        ProcessPayment: process,
        CompletePayment: complete,
        FailPayment: fail,
        RefundPayment: refund,
        RefundPart: refund_part,
        CompleteRefund: complete_refund,
        CompletePartRefund: complete_part,
        FailPartRefund: fail_part,
    },
    evolve={
        PaymentRequested: requested,
        PaymentCompleted: completed,
        PaymentFailed: lambda payment, event: replace(payment, status="failed"),
        RefundRequested: lambda payment, event: replace(payment, refunding=True),
        PaymentRefunded: lambda payment, event: replace(payment, status="refunded", refunding=False),
        PaymentVoided: lambda payment, event: replace(payment, status="voided"),
        PartRefundPromised: part_noted,
        PartRefundRequested: part_noted,
        PartRefunded: part_ended,
        PartRefundLapsed: part_ended,
    },
)
