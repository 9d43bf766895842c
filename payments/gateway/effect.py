"""The effect that calls the gateway: a request event makes a call, its answer becomes a command."""

from collections.abc import Callable, Mapping
from typing import Any

from eventstore.messages import Command, Event
from eventstore.subscriptions import Effect
from payments.commands import (
    CompletePartRefund,
    CompletePayment,
    CompleteRefund,
    FailPartRefund,
    FailPayment,
)
from payments.events import PartRefundRequested, PaymentRequested, RefundRequested
from payments.gateway.factory import gateway

from .port import Charged, Declined, Refunded, RefundRefused


def charge(event: PaymentRequested, key: str) -> Command:
    charged = gateway().charge(
        key=key, order_id=event.order_id, amount=event.amount, method=event.method
    )
    return _record_charge(event, charged)


def find_charge(event: PaymentRequested, key: str) -> Command | None:
    found = gateway().find_charge(key=key, order_id=event.order_id, amount=event.amount)
    return _record_charge(event, found) if found else None


def refund(event: RefundRequested, key: str) -> Command:
    return _record_refund(
        event, gateway().refund(key=key, order_id=event.order_id, amount=event.amount)
    )


def find_refund(event: RefundRequested, key: str) -> Command | None:
    found = gateway().find_refund(key=key, order_id=event.order_id, amount=event.amount)
    return _record_refund(event, found) if found else None


def refund_part(event: PartRefundRequested, key: str) -> Command:
    try:
        refunded = gateway().refund(key=key, order_id=event.order_id, amount=event.amount)
    except RefundRefused as error:
        # The refusal is final. Retries would hold back all later calls for this payment.
        return FailPartRefund(event.order_id, event.refund_id, str(error))
    return _record_part_refund(event, refunded)


def find_part_refund(event: PartRefundRequested, key: str) -> Command | None:
    found = gateway().find_refund(key=key, order_id=event.order_id, amount=event.amount)
    return _record_part_refund(event, found) if found else None


def _record_charge(event: PaymentRequested, answer: Charged | Declined) -> Command:
    match answer:
        case Charged(reference):
            return CompletePayment(event.order_id, reference)
        case Declined(reason):
            return FailPayment(event.order_id, reason)


def _record_refund(event: RefundRequested, refunded: Refunded) -> Command:
    return CompleteRefund(event.order_id, refunded.amount, refunded.reference)


def _record_part_refund(event: PartRefundRequested, refunded: Refunded) -> Command:
    return CompletePartRefund(event.order_id, event.refund_id, refunded.amount, refunded.reference)


# request event: (event, answer) -> the command that records the answer, of a call or of a webhook.
RECORD: Mapping[type[Event], Callable[[Any, Any], Command]] = {
    PaymentRequested: _record_charge,
    RefundRequested: _record_refund,
    PartRefundRequested: _record_part_refund,
}

GATEWAY = Effect(
    perform={
        PaymentRequested: charge,
        RefundRequested: refund,
        PartRefundRequested: refund_part,
    },
    find={
        PaymentRequested: find_charge,
        RefundRequested: find_refund,
        PartRefundRequested: find_part_refund,
    },
    # An order is charged once and refunded as a whole once. Parts have their own refund_id.
    key={
        PaymentRequested: lambda event: f"charge:{event.order_id}",
        RefundRequested: lambda event: f"refund:{event.order_id}",
        PartRefundRequested: lambda event: f"refund:{event.order_id}:{event.refund_id}",
    },
)
