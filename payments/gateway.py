"""The payment gateway: a port, the effect that calls it, and a sandbox that needs nothing else.

The sandbox decides by the payment method alone, so that every course of an order can be walked at will:

    tok_visa, and any other   taken
    tok_declined              declined for good
    tok_insufficient_funds    declined for good
    tok_timeout_once          the first try times out, the next one is taken
    tok_timeout               every try times out
    tok_late                  taken, but the answer comes after two seconds
    tok_refund_timeout_once   taken; the first refund times out, the next one goes through
"""

import threading
import time
from collections import Counter
from functools import cache
from typing import NamedTuple, Protocol

from eventstore.messages import Command
from eventstore.money import Money
from eventstore.subscriptions import Effect

from .commands import CompletePayment, CompleteRefund, FailPayment
from .events import PaymentRequested, RefundRequested


class GatewayTimeout(Exception):
    """No answer in time. Whether money moved is unknown: ask again with the same key."""


class Charged(NamedTuple):
    reference: str


class Declined(NamedTuple):
    reason: str


class Refunded(NamedTuple):
    amount: int
    reference: str


class Gateway(Protocol):
    """key: the same for every try of one call; the gateway answers a repeat without doing it again."""

    def charge(self, *, key: str, order_id: str, amount: Money, method: str) -> Charged | Declined: ...

    def refund(self, *, key: str, order_id: str, amount: Money) -> Refunded: ...


class SandboxGateway:
    """Keeps what it has answered by key, in this process; late answers take `late` seconds."""

    def __init__(self, *, late: float = 2.0) -> None:
        self.late = late
        self.tries: Counter[str] = Counter()
        self.methods: dict[str, str] = {}
        self.lock = threading.Lock()

    def charge(self, *, key: str, order_id: str, amount: Money, method: str) -> Charged | Declined:
        self.methods[order_id] = method
        if method in ("tok_declined", "tok_insufficient_funds"):
            return Declined(method.removeprefix("tok_"))
        self._stumble(key, always=method == "tok_timeout", once=method == "tok_timeout_once")
        if method == "tok_late":
            time.sleep(self.late)
        return Charged(f"ch_{key}")

    def refund(self, *, key: str, order_id: str, amount: Money) -> Refunded:
        self._stumble(key, always=False, once=self.methods.get(order_id) == "tok_refund_timeout_once")
        return Refunded(amount.amount, f"re_{key}")

    def _stumble(self, key: str, *, always: bool, once: bool) -> None:
        with self.lock:
            self.tries[key] += 1
            if always or (once and self.tries[key] == 1):
                raise GatewayTimeout(f"The gateway did not answer in time (try {self.tries[key]}).")


@cache
def gateway() -> Gateway:
    return SandboxGateway()


def charge(event: PaymentRequested, key: str) -> Command:
    match gateway().charge(key=key, order_id=event.order_id, amount=event.amount, method=event.method):
        case Charged(reference):
            return CompletePayment(event.order_id, reference)
        case Declined(reason):
            return FailPayment(event.order_id, reason)


def refund(event: RefundRequested, key: str) -> Command:
    refunded = gateway().refund(key=key, order_id=event.order_id, amount=event.amount)
    return CompleteRefund(event.order_id, refunded.amount, refunded.reference)


GATEWAY = Effect(
    perform={
        PaymentRequested: charge,
        RefundRequested: refund,
    },
)
