"""What other systems get of payments: integration events, each a contract apart from our own.

For other systems, a refund of a part and a refund of the rest are the same: money was refunded. The
method of payment is not published.
"""

from collections.abc import Sequence

from eventstore.messages import Event, IntegrationEvent
from eventstore.money import Money
from eventstore.subscriptions import Publication

from .events import (
    LatePaymentCompleted,
    PartRefunded,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
)


class PaymentCompletedIntegrationEvent(IntegrationEvent, frozen=True):
    order_id: str
    amount: Money
    reference: str


class PaymentFailedIntegrationEvent(IntegrationEvent, frozen=True):
    order_id: str
    reason: str


class PaymentRefundedIntegrationEvent(IntegrationEvent, frozen=True):
    """refund_id: of a partial refund; empty if all that was left was refunded."""

    order_id: str
    amount: Money
    reference: str
    refund_id: str = ""


class PaymentDisputedIntegrationEvent(IntegrationEvent, frozen=True):
    order_id: str
    amount: Money
    reference: str


PUBLISHED = {
    "payments.payment_completed_integration": PaymentCompletedIntegrationEvent,
    "payments.payment_failed_integration": PaymentFailedIntegrationEvent,
    "payments.payment_refunded_integration": PaymentRefundedIntegrationEvent,
    "payments.payment_disputed_integration": PaymentDisputedIntegrationEvent,
}


def payment_completed(
    event: PaymentCompleted | LatePaymentCompleted, history: Sequence[Event]
) -> list[IntegrationEvent]:
    return [PaymentCompletedIntegrationEvent(event.order_id, event.amount, event.reference)]


def payment_failed(event: PaymentFailed, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [PaymentFailedIntegrationEvent(event.order_id, event.reason)]


def payment_refunded(
    event: PaymentRefunded | PaymentRefundedOutside, history: Sequence[Event]
) -> list[IntegrationEvent]:
    return [PaymentRefundedIntegrationEvent(event.order_id, event.amount, event.reference)]


def part_refunded(event: PartRefunded, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [
        PaymentRefundedIntegrationEvent(
            event.order_id, event.amount, event.reference, event.refund_id
        )
    ]


def payment_disputed(event: PaymentDisputed, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [PaymentDisputedIntegrationEvent(event.order_id, event.amount, event.reference)]


PUBLICATION = Publication(
    publish={
        PaymentCompleted: payment_completed,
        LatePaymentCompleted: payment_completed,
        PaymentFailed: payment_failed,
        PaymentRefunded: payment_refunded,
        PaymentRefundedOutside: payment_refunded,
        PartRefunded: part_refunded,
        PaymentDisputed: payment_disputed,
    },
)
