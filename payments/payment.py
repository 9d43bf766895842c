"""The payment of one order: requested once, then completed or failed; refunded in parts or
whole."""

from collections.abc import Callable

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Event, State, replace
from eventstore.money import Money
from payments import partial_refunds
from payments.partial_refunds import Part

from .commands import (
    ELSEWHERE,
    CompletePartRefund,
    CompletePayment,
    CompleteRefund,
    FailPartRefund,
    FailPayment,
    ProcessPayment,
    RecordDispute,
    RecordRefund,
    RefundPart,
    RefundPayment,
)
from .events import (
    DisputeClosed,
    LatePaymentCompleted,
    PartRefunded,
    PartRefundLapsed,
    PartRefundPromised,
    PartRefundRequested,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
)


class NothingLeftToRefund(CommandRejected):
    """The whole payment is being refunded, or has been."""


class NothingWasPaid(CommandRejected):
    """The payment failed or was voided: there is nothing to refund."""


class MoreThanWasPaid(CommandRejected):
    """The refunds would exceed the payment, or are in another currency."""


class NotRefundable(CommandRejected):
    """The payment provider cannot refund this amount."""


class PaymentIsAnother(CommandRejected):
    """The order has a payment of another amount or by another method."""


class RefundIsAnother(CommandRejected):
    """A refund with this id exists already, of another amount."""


class Payment(State, frozen=True):
    """status: new, requested, completed, failed, refunded or voided. refunding: the whole payment
    is
    to be refunded, also while its charge is under way.

    outside: amounts refunded at the gateway or withheld by a dispute, by the gateway's id. closed:
    the ids of closed disputes. elsewhere: paid outside this platform, so no call is ever made.
    """

    status: str = "new"
    amount: Money | None = None
    method: str = ""
    refunding: bool = False
    parts: tuple[Part, ...] = ()
    outside: dict[str, int] = {}
    closed: tuple[str, ...] = ()
    elsewhere: bool = False


def process(payment: Payment, command: ProcessPayment) -> list[Event]:
    # A payment of 0, or one made elsewhere, is completed without a request: it has no method.
    is_settled = command.amount.amount == 0 or command.method == ELSEWHERE
    method = "" if is_settled else command.method
    if payment.amount is not None and (payment.amount, payment.method) != (command.amount, method):
        raise PaymentIsAnother(
            f"The payment of order {command.order_id} is {payment.amount}, not {command.amount}."
        )
    if payment.status != "new":
        return []
    if is_settled:
        reference = ELSEWHERE if command.amount.amount else "nothing-to-pay"
        settled = PaymentCompleted(command.order_id, command.amount, reference)
        return [settled, *partial_refunds.fall_due(payment.parts, settled)]
    return [PaymentRequested(command.order_id, command.amount, command.method)]


def complete(payment: Payment, command: CompletePayment) -> list[Event]:
    """The gateway's answer counts, also after it said that the payment failed."""
    if payment.status == "failed" and payment.amount is not None:
        return [LatePaymentCompleted(command.order_id, payment.amount, command.reference)]
    if payment.status != "requested" or payment.amount is None:
        return []
    completed = PaymentCompleted(command.order_id, payment.amount, command.reference)
    return [completed, *partial_refunds.fall_due(payment.parts, completed)]


def fail(payment: Payment, command: FailPayment) -> list[Event]:
    if payment.status != "requested":
        return []
    lapsed = partial_refunds.lapse(payment.parts, command.order_id, "the payment failed")
    return [PaymentFailed(command.order_id, command.reason), *lapsed]


def refund(payment: Payment, command: RefundPayment) -> list[Event]:
    lapsed = partial_refunds.lapse(payment.parts, command.order_id, "the whole payment goes back")
    if payment.status == "new":
        return [PaymentVoided(command.order_id, command.reason), *lapsed]
    has_charge = payment.status in ("requested", "completed")
    if not has_charge or payment.refunding or payment.amount is None:
        return []
    # Before the charge completes nothing is refunded: all parts are promised, and lapse here.
    refunded = payment.parts if payment.status == "completed" else ()
    left = payment.amount.of(
        max(0, partial_refunds.left(payment.amount, refunded) - sum(payment.outside.values()))
    )
    if left.amount == 0:
        return [PaymentRefunded(command.order_id, left, reference="nothing-to-refund")]
    if payment.elsewhere:
        return [PaymentRefunded(command.order_id, left, reference=ELSEWHERE)]
    return [RefundRequested(command.order_id, left, command.reason), *lapsed]


def refund_part(payment: Payment, command: RefundPart) -> list[Event]:
    for part in payment.parts:
        if part.refund_id == command.refund_id:
            if part.amount != command.amount:
                raise RefundIsAnother(
                    f"Refund {command.refund_id} is {part.amount}, not {command.amount}."
                )
            return []
    if payment.refunding or payment.status == "refunded":
        raise NothingLeftToRefund(f"Order {command.order_id}: nothing is left of its payment.")
    if payment.status in ("failed", "voided"):
        raise NothingWasPaid(f"The payment of order {command.order_id} is {payment.status}.")
    if payment.amount is not None and not partial_refunds.is_within(
        command.amount, _left(payment), payment.amount
    ):
        raise MoreThanWasPaid(
            f"{command.amount} is more than what is left of {payment.amount} of order"
            f" {command.order_id}."
        )
    if payment.elsewhere:
        if not command.settled:
            raise NotRefundable(
                f"Order {command.order_id} was paid elsewhere; give the money back there."
            )
        return [PartRefunded(command.order_id, command.refund_id, command.amount, ELSEWHERE)]
    event = PartRefundRequested if payment.status == "completed" else PartRefundPromised
    return [event(command.order_id, command.refund_id, command.amount, command.reason)]


def complete_refund(payment: Payment, command: CompleteRefund) -> list[Event]:
    if payment.status != "completed" or not payment.refunding or payment.amount is None:
        return []
    return [PaymentRefunded(command.order_id, payment.amount.of(command.amount), command.reference)]


def complete_part(payment: Payment, command: CompletePartRefund) -> list[Event]:
    for part in payment.parts:
        if part.refund_id == command.refund_id and part.status == "requested":
            amount = part.amount.of(command.amount)
            return [PartRefunded(command.order_id, command.refund_id, amount, command.reference)]
    return []


def fail_part(payment: Payment, command: FailPartRefund) -> list[Event]:
    for part in payment.parts:
        if part.refund_id == command.refund_id and part.status == "requested":
            return [PartRefundLapsed(command.order_id, command.refund_id, command.reason)]
    return []


def limited(refundable: Callable[[Money], str] | None) -> Aggregate:
    """The aggregate within a provider's limits: it refuses a part that the provider cannot refund,
    so that no call to the gateway fails for good and holds back the next.

    refundable: amount -> why the provider cannot refund it; empty if it can. None: it can refund
    every amount.
    """
    if refundable is None:
        return PAYMENT

    def refund_part_if_possible(payment: Payment, command: RefundPart) -> list[Event]:
        events = refund_part(payment, command)
        if events and not command.settled and (why := refundable(command.amount)):
            raise NotRefundable(why)
        return events

    return PAYMENT._replace(decide={**PAYMENT.decide, RefundPart: refund_part_if_possible})


def record_refund(payment: Payment, command: RecordRefund) -> list[Event]:
    """A refund at the gateway may leave nothing of the refund that we requested: then that is
    done."""
    if payment.amount is None or command.reference in payment.outside:
        return []
    amount = payment.amount.of(command.amount)
    recorded = [
        *_complete_charge(payment, command),
        PaymentRefundedOutside(command.order_id, amount, command.reference),
    ]
    if payment.refunding and _left(payment) <= command.amount:
        recorded.append(
            PaymentRefunded(command.order_id, amount.of(0), reference="refunded-outside")
        )
    return recorded


def record_dispute(payment: Payment, command: RecordDispute) -> list[Event]:
    """The notice of the beginning may arrive after that of the end, or never."""
    if payment.amount is None or command.reference in payment.closed:
        return []
    order_id, reference = command.order_id, command.reference
    amount = payment.amount.of(command.amount)
    recorded = list[Event]()
    if reference not in payment.outside:
        recorded += _complete_charge(payment, command)
        recorded.append(PaymentDisputed(order_id, amount, reference, command.reason))
    if command.outcome:
        recorded.append(DisputeClosed(order_id, amount, reference, won=command.outcome == "won"))
    return recorded


def _complete_charge(payment: Payment, command: RecordRefund | RecordDispute) -> list[Event]:
    """A refund or dispute proves the charge, also before its answer has arrived."""
    return complete(payment, CompletePayment(command.order_id, command.charge))


def is_given_back(payment: Payment) -> bool:
    """Whether the whole payment was refunded, or is withheld by the customer's bank."""
    return (
        payment.amount is not None
        and payment.amount.amount > 0
        and (
            payment.status == "refunded" or (payment.status == "completed" and _left(payment) <= 0)
        )
    )


def _left(payment: Payment) -> int:
    assert payment.amount is not None
    return partial_refunds.left(payment.amount, payment.parts) - sum(payment.outside.values())


def requested(payment: Payment, event: PaymentRequested) -> Payment:
    return replace(payment, status="requested", amount=event.amount, method=event.method)


def completed(payment: Payment, event: PaymentCompleted | LatePaymentCompleted) -> Payment:
    return replace(
        payment,
        status="completed",
        amount=event.amount,
        elsewhere=event.reference == ELSEWHERE,
    )


def went_outside(payment: Payment, event: PaymentRefundedOutside | PaymentDisputed) -> Payment:
    return replace(payment, outside={**payment.outside, event.reference: event.amount.amount})


def dispute_closed(payment: Payment, event: DisputeClosed) -> Payment:
    held = {**payment.outside, event.reference: 0 if event.won else event.amount.amount}
    return replace(payment, outside=held, closed=(*payment.closed, event.reference))


def part_noted(payment: Payment, event: PartRefundPromised | PartRefundRequested) -> Payment:
    status = "promised" if isinstance(event, PartRefundPromised) else "requested"
    others = tuple(part for part in payment.parts if part.refund_id != event.refund_id)
    return replace(
        payment, parts=(*others, Part(event.refund_id, event.amount, event.reason, status))
    )


def part_ended(payment: Payment, event: PartRefunded | PartRefundLapsed) -> Payment:
    status = "refunded" if isinstance(event, PartRefunded) else "lapsed"
    if isinstance(event, PartRefunded) and all(
        part.refund_id != event.refund_id for part in payment.parts
    ):
        # Given back elsewhere: recorded without a request.
        return replace(
            payment, parts=(*payment.parts, Part(event.refund_id, event.amount, "", status))
        )
    ended = (
        replace(part, status=status) if part.refund_id == event.refund_id else part
        for part in payment.parts
    )
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
        RecordRefund: record_refund,
        RecordDispute: record_dispute,
    },
    evolve={
        PaymentRequested: requested,
        PaymentCompleted: completed,
        # The refund lapses with the payment. A payment that completes late is refunded by a new
        # command.
        PaymentFailed: lambda payment, event: replace(payment, status="failed", refunding=False),
        LatePaymentCompleted: completed,
        RefundRequested: lambda payment, event: replace(payment, refunding=True),
        PaymentRefunded: lambda payment, event: replace(
            payment, status="refunded", refunding=False
        ),
        PaymentVoided: lambda payment, event: replace(payment, status="voided"),
        PartRefundPromised: part_noted,
        PartRefundRequested: part_noted,
        PartRefunded: part_ended,
        PartRefundLapsed: part_ended,
        PaymentRefundedOutside: went_outside,
        PaymentDisputed: went_outside,
        DisputeClosed: dispute_closed,
    },
)
