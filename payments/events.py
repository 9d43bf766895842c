"""What has happened to an order's payment."""

from eventstore.messages import Event
from eventstore.money import Money


class PaymentRequested(Event, frozen=True):
    order_id: str
    amount: Money
    method: str


class PaymentCompleted(Event, frozen=True):
    """reference: the gateway's own name for the charge."""

    order_id: str
    amount: Money
    reference: str


class LatePaymentCompleted(Event, frozen=True):
    """The money was taken after all, although the payment had failed: nobody waits for it any
    more."""

    order_id: str
    amount: Money
    reference: str


class PaymentFailed(Event, frozen=True):
    order_id: str
    reason: str


class RefundRequested(Event, frozen=True):
    order_id: str
    amount: Money
    reason: str


class PaymentRefunded(Event, frozen=True):
    order_id: str
    amount: Money
    reference: str


class PaymentVoided(Event, frozen=True):
    """Taken back before anything was asked of the gateway: a payment that comes later is not
    processed."""

    order_id: str
    reason: str


class PartRefundPromised(Event, frozen=True):
    """Wanted back before the money came in: the gateway is asked for it as soon as it has."""

    order_id: str
    refund_id: str
    amount: Money
    reason: str


class PartRefundRequested(Event, frozen=True):
    order_id: str
    refund_id: str
    amount: Money
    reason: str


class PartRefunded(Event, frozen=True):
    order_id: str
    refund_id: str
    amount: Money
    reference: str


class PartRefundLapsed(Event, frozen=True):
    """What was promised cannot be kept: the money never came in, or all of it goes back another
    way."""

    order_id: str
    refund_id: str
    reason: str


class PaymentRefundedOutside(Event, frozen=True):
    """Somebody gave it back at the gateway itself. reference: the gateway's own name for it."""

    order_id: str
    amount: Money
    reference: str


class PaymentDisputed(Event, frozen=True):
    """The customer's bank takes it back until the dispute is closed. reference: the gateway's own
    name for it."""

    order_id: str
    amount: Money
    reference: str
    reason: str


class DisputeClosed(Event, frozen=True):
    """won: the money is ours again; otherwise it stays with the customer."""

    order_id: str
    amount: Money
    reference: str
    won: bool


EVENTS = {
    "payments.payment_requested": PaymentRequested,
    "payments.payment_completed": PaymentCompleted,
    "payments.late_payment_completed": LatePaymentCompleted,
    "payments.payment_failed": PaymentFailed,
    "payments.refund_requested": RefundRequested,
    "payments.payment_refunded": PaymentRefunded,
    "payments.payment_voided": PaymentVoided,
    "payments.part_refund_promised": PartRefundPromised,
    "payments.part_refund_requested": PartRefundRequested,
    "payments.part_refunded": PartRefunded,
    "payments.part_refund_lapsed": PartRefundLapsed,
    "payments.payment_refunded_outside": PaymentRefundedOutside,
    "payments.payment_disputed": PaymentDisputed,
    "payments.dispute_closed": DisputeClosed,
}
