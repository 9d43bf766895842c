"""The effect that asks the gateway: what is requested goes out, what it answers comes back as a
command."""

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
    return _paid(event, charged)


def find_charge(event: PaymentRequested, key: str) -> Command | None:
    found = gateway().find_charge(key=key, order_id=event.order_id, amount=event.amount)
    return _paid(event, found) if found else None


def refund(event: RefundRequested, key: str) -> Command:
    return _given_back(
        event, gateway().refund(key=key, order_id=event.order_id, amount=event.amount)
    )


def find_refund(event: RefundRequested, key: str) -> Command | None:
    found = gateway().find_refund(key=key, order_id=event.order_id, amount=event.amount)
    return _given_back(event, found) if found else None


def refund_part(event: PartRefundRequested, key: str) -> Command:
    try:
        refunded = gateway().refund(key=key, order_id=event.order_id, amount=event.amount)
    except RefundRefused as error:
        # An answer, and a final one: asked again and again, it would hold back all else that
        # concerns the payment.
        return FailPartRefund(event.order_id, event.refund_id, str(error))
    return _part_given_back(event, refunded)


def find_part_refund(event: PartRefundRequested, key: str) -> Command | None:
    found = gateway().find_refund(key=key, order_id=event.order_id, amount=event.amount)
    return _part_given_back(event, found) if found else None


def _paid(event: PaymentRequested, answer: Charged | Declined) -> Command:
    match answer:
        case Charged(reference):
            return CompletePayment(event.order_id, reference)
        case Declined(reason):
            return FailPayment(event.order_id, reason)


def _given_back(event: RefundRequested, refunded: Refunded) -> Command:
    return CompleteRefund(event.order_id, refunded.amount, refunded.reference)


def _part_given_back(event: PartRefundRequested, refunded: Refunded) -> Command:
    return CompletePartRefund(event.order_id, event.refund_id, refunded.amount, refunded.reference)


# How an answer is recorded, whether it comes to a call or without being asked.
RECORD: Mapping[type[Event], Callable[[Any, Any], Command]] = {
    PaymentRequested: _paid,
    RefundRequested: _given_back,
    PartRefundRequested: _part_given_back,
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
    # An order is charged once and given back whole once; parts are told apart by what they are for.
    key={
        PaymentRequested: lambda event: f"charge:{event.order_id}",
        RefundRequested: lambda event: f"refund:{event.order_id}",
        PartRefundRequested: lambda event: f"refund:{event.order_id}:{event.refund_id}",
    },
)
