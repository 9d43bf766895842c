"""The carrier: a port, the effect that calls it, and a sandbox that needs nothing else.

The sandbox decides by the postcode alone, so that every course of a parcel can be walked at will:

    REFUSED        the carrier does not go there
    TIMEOUT-ONCE   the first try times out, the next one is booked
    TIMEOUT        every try times out
    LATE           booked, but the answer comes after two seconds
    any other      booked
"""

import threading
import time
from collections import Counter
from functools import cache
from typing import NamedTuple, Protocol

from eventstore.messages import Command
from eventstore.subscriptions import Effect

from .commands import Address, BookShipment, CompleteCancellation, RefuseShipment
from .events import ShipmentCancellationRequested, ShipmentRequested


class CarrierTimeout(Exception):
    """No answer in time. Whether the parcel is booked is unknown: ask again with the same key."""


class Booked(NamedTuple):
    tracking: str


class NotServed(NamedTuple):
    reason: str


class Carrier(Protocol):
    """key: the same for every try of one call; the carrier answers a repeat without doing it again."""

    def book(self, *, key: str, order_id: str, address: Address) -> Booked | NotServed: ...

    def cancel(self, *, key: str, order_id: str) -> None: ...


class SandboxCarrier:
    """Keeps what it was asked by key, in this process; late answers take `late` seconds."""

    def __init__(self, *, late: float = 2.0) -> None:
        self.late = late
        self.tries: Counter[str] = Counter()
        self.lock = threading.Lock()

    def book(self, *, key: str, order_id: str, address: Address) -> Booked | NotServed:
        if address.postcode == "REFUSED":
            return NotServed("address not served")
        self._stumble(key, always=address.postcode == "TIMEOUT", once=address.postcode == "TIMEOUT-ONCE")
        if address.postcode == "LATE":
            time.sleep(self.late)
        return Booked(f"SB{key.replace('-', '')[-12:].upper()}")

    def cancel(self, *, key: str, order_id: str) -> None:
        with self.lock:
            self.tries[key] += 1

    def _stumble(self, key: str, *, always: bool, once: bool) -> None:
        with self.lock:
            self.tries[key] += 1
            if always or (once and self.tries[key] == 1):
                raise CarrierTimeout(f"The carrier did not answer in time (try {self.tries[key]}).")


@cache
def carrier() -> Carrier:
    return SandboxCarrier()


def book(event: ShipmentRequested, key: str) -> Command:
    match carrier().book(key=key, order_id=event.order_id, address=event.address):
        case Booked(tracking):
            return BookShipment(event.order_id, tracking)
        case NotServed(reason):
            return RefuseShipment(event.order_id, reason)


def cancel(event: ShipmentCancellationRequested, key: str) -> Command:
    carrier().cancel(key=key, order_id=event.order_id)
    return CompleteCancellation(event.order_id)


CARRIER = Effect(
    perform={
        ShipmentRequested: book,
        ShipmentCancellationRequested: cancel,
    },
)
