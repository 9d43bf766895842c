"""The outside world in memory: a payment provider and a carrier with books of their own, and their
failures.

What they do without a call is in facts.py.
"""

from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

from eventstore.messages import Command, Event
from payments.commands import CompletePartRefund, CompletePayment, CompleteRefund, FailPayment
from payments.events import PartRefundRequested, PaymentRequested, RefundRequested
from payments.gateway import GATEWAY
from payments.gateway.port import RefundRefused
from shipping.carrier import CARRIER
from shipping.commands import BookShipment, CompleteCancellation, RefuseShipment
from shipping.events import ShipmentCancellationRequested, ShipmentRequested

EFFECTS = {"payments.gateway": GATEWAY, "shipping.carrier": CARRIER}

ATTEMPTS = 6

# Probabilities for a call. LOST: done, but the response is lost, or the caller has died. REFUSED: a
# rejection. LATE: the response takes up to an hour. DOWN: no response for this order until
# repaired.
TIMEOUT, LOST, REFUSED, LATE, DOWN = 0.1, 0.1, 0.2, 0.05, 0.02


class Call(NamedTuple):
    """position: of the event in the log; the idempotency key."""

    position: int
    event: Event
    attempts: int = 0

    def tried(self) -> "Call":
        return self._replace(attempts=self.attempts + 1)


class Outcome(NamedTuple):
    """command: of the response; None without one. takes: seconds. retry_after: seconds; None when
    the call is given up."""

    command: Command | None
    takes: float = 0.0
    retry_after: float | None = None


class Outside:
    """Repeats the response for a repeated key, without a new effect. Its books: charges, refunds
    and parcels by order.

    held_back: disputed amounts. left: orders whose parcel the carrier has taken. changed_outside:
    orders refunded or disputed without a call of ours.
    """

    today = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self, random: Random) -> None:
        self.random = random
        self.done: dict[str, Command] = {}
        self.captured: Counter[str] = Counter()
        self.captures: Counter[str] = Counter()
        self.refunded: Counter[str] = Counter()
        self.parcels: Counter[str] = Counter()
        self.held_back: Counter[str] = Counter()
        self.left: set[str] = set()
        self.changed_outside: set[str] = set()
        self.down: set[str] = set()
        self.is_repaired = False

    def key(self, call: Call) -> str:
        return str(call.position)

    def kept(self, order_id: str) -> int:
        return self.captured[order_id] - self.refunded[order_id] - self.held_back[order_id]

    def ask(self, call: Call) -> Outcome:
        order_id = call.event.order_id  # type: ignore[attr-defined]
        luck = self.random.random()
        if self._is_down(order_id, call):
            return self._fail(call)
        if (luck := luck - TIMEOUT) < 0:
            return self._fail(call)
        try:
            answer = self.do_once(self.key(call), call.event)
        except RefundRefused:
            return Outcome(None)
        if (luck := luck - LOST) < 0:
            return self._fail(call)
        return Outcome(answer, takes=self.random.random() * (3600.0 if luck < LATE else 2.0))

    def repair(self) -> None:
        self.is_repaired = True

    def refund_by_hand(self, order_id: str) -> None:
        self.refunded[order_id] = self.captured[order_id]

    def cancel_parcel_by_hand(self, order_id: str) -> None:
        self.parcels[order_id] = 0

    def _is_down(self, order_id: str, call: Call) -> bool:
        if call.attempts == 0 and self.random.random() < DOWN:
            self.down.add(order_id)
        return order_id in self.down and not self.is_repaired

    def _fail(self, call: Call) -> Outcome:
        spent = call.attempts + 1 >= ATTEMPTS and not self.is_repaired
        return Outcome(None, retry_after=None if spent else 2.0**call.attempts)

    def do_once(self, key: str, event: Any) -> Command:
        """Raises RefundRefused."""
        if key not in self.done:
            self.done[key] = self._do(event, event.order_id)
        return self.done[key]

    def _do(self, event: Any, order_id: str) -> Command:
        is_refused = self._refuses(event)
        match event:
            case PaymentRequested():
                return (
                    FailPayment(order_id, "declined")
                    if is_refused
                    else self._charge(event, order_id)
                )
            case RefundRequested():
                return self._refund(event, order_id)
            case PartRefundRequested():
                self._give_back(order_id, event.amount.amount)
                return CompletePartRefund(
                    order_id, event.refund_id, event.amount.amount, f"re_{event.refund_id}"
                )
            case ShipmentRequested():
                return (
                    RefuseShipment(order_id, "not served") if is_refused else self._book(order_id)
                )
            case ShipmentCancellationRequested():
                # Cancelling a parcel that was never booked succeeds too.
                self.parcels[order_id] -= min(1, self.parcels[order_id])
                return CompleteCancellation(order_id)
        raise AssertionError(f"unknown event {event}")

    def _refuses(self, event: Any) -> bool:
        return self.random.random() < REFUSED

    def _charge(self, event: PaymentRequested, order_id: str) -> Command:
        self.captured[order_id] += event.amount.amount
        self.captures[order_id] += 1
        return CompletePayment(order_id, f"ch_{order_id}")

    def _refund(self, event: RefundRequested, order_id: str) -> Command:
        """Refunds what is requested, even twice: avoiding that is our part. At most the charge."""
        back = min(event.amount.amount, self.captured[order_id])
        self._give_back(order_id, back)
        return CompleteRefund(order_id, back, f"re_{order_id}")

    def _give_back(self, order_id: str, amount: int) -> None:
        """Money that was refunded otherwise or is disputed is no longer there. Raises
        RefundRefused."""
        if order_id in self.changed_outside and amount > self.kept(order_id):
            raise RefundRefused(order_id)
        self.refunded[order_id] += amount

    def _book(self, order_id: str) -> Command:
        self.parcels[order_id] += 1
        return BookShipment(order_id, f"SB{order_id}")
