"""The events of an order's payment."""

from eventstore.messages import Event
from eventstore.money import Money


class PaymentRequested(Event, frozen=True):
    order_id: str
    amount: Money
    method: str


class PaymentCompleted(Event, frozen=True):
    """reference: the gateway's id of the charge."""

    order_id: str
    amount: Money
    reference: str


class LatePaymentCompleted(Event, frozen=True):
    """Charged after the payment had failed, when the order no longer waits for it."""

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
    """Cancelled before the gateway was called: a later ProcessPayment does nothing."""

    order_id: str
    reason: str


class PartRefundPromised(Event, frozen=True):
    """Requested before the charge completed: the gateway is asked for the refund once it has."""

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
    """The part is not refunded: the charge failed, the whole payment is refunded, or the gateway
    refuses it."""

    order_id: str
    refund_id: str
    reason: str


class PaymentRefundedOutside(Event, frozen=True):
    """Refunded at the gateway, for example in its dashboard. reference: the gateway's id of the
    refund."""

    order_id: str
    amount: Money
    reference: str


class PaymentDisputed(Event, frozen=True):
    """The customer's bank withholds the money until the dispute is closed. reference: the gateway's
    id of the dispute."""

    order_id: str
    amount: Money
    reference: str
    reason: str


class DisputeClosed(Event, frozen=True):
    """won: true if the money is returned to us; otherwise the customer keeps it."""

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
