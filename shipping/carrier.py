"""The carrier: a port, the effect that calls it, and a sandbox without an external service.

The postcode decides the outcome in the sandbox:

    REFUSED              the carrier does not serve the address
    TIMEOUT-ONCE         the first try times out, the next one is booked
    TIMEOUT              every try times out, nothing is booked
    BOOKED-BUT-TIMEOUT   booked at once, but every try times out: only a lookup by key finds it
    LATE                 booked, the answer takes two seconds
    any other            booked

Its book is shipping.models.SandboxParcel. The book counts the tries, so that the count survives the
death of a worker.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import NamedTuple, Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from eventstore.effects.sandbox import NEVER, Book, Course
from eventstore.messages import Command
from eventstore.subscriptions import Effect

from .commands import Address, BookShipment, CompleteCancellation, RefuseShipment
from .events import ShipmentCancellationRequested, ShipmentRequested
from .models import SandboxParcel


class Booking(NamedTuple):
    tracking: str


class NotServed(NamedTuple):
    reason: str


class Carrier(Protocol):
    """key: the idempotency key, the same for every try of a call; a repeat gets the first answer.

    Without an answer a carrier raises TimeoutError or ConnectionError: the engine then looks the
    booking up by its key.
    """

    def book(self, *, key: str, order_id: str, address: Address) -> Booking | NotServed: ...

    def find_booking(self, *, key: str) -> Booking | None: ...

    def cancel(self, *, key: str, order_id: str) -> None: ...

    def booked(self, *, since: datetime) -> Iterator[tuple[str, str]]:
        """(order id, tracking number) of each parcel booked since then and not cancelled."""
        ...


COURSES = {
    "REFUSED": Course(done_at=NEVER),
    "TIMEOUT-ONCE": Course(done_at=2, answered_at=2),
    "TIMEOUT": Course(done_at=NEVER, answered_at=NEVER),
    "BOOKED-BUT-TIMEOUT": Course(answered_at=NEVER),
    "LATE": Course(late=True),
}


class SandboxCarrier:
    """late: seconds that a late answer takes."""

    def __init__(self, *, late: float = 2.0) -> None:
        self.calls = Book(SandboxParcel, late=late)

    def book(self, *, key: str, order_id: str, address: Address) -> Booking | NotServed:
        tracking = f"SB{key.replace('-', '')[-12:].upper()}"
        entry = {"key": key, "order_id": order_id, "kind": "booking", "tracking": tracking}
        self.calls.enter(entry, COURSES.get(address.postcode, Course()))
        return (
            NotServed("address not served") if address.postcode == "REFUSED" else Booking(tracking)
        )

    def find_booking(self, *, key: str) -> Booking | None:
        found = self.calls.in_turn(SandboxParcel.objects.filter(key=key, done=True).first)
        return Booking(found.tracking) if found else None

    def booked(self, *, since: datetime) -> Iterator[tuple[str, str]]:
        done = SandboxParcel.objects.filter(done=True, entered_at__gte=since)
        cancelled = SandboxParcel.objects.filter(kind=SandboxParcel.Kind.CANCELLATION, done=True)
        booked = done.filter(kind=SandboxParcel.Kind.BOOKING).exclude(
            order_id__in=cancelled.values("order_id")
        )
        yield from self.calls.in_turn(
            lambda: list(booked.order_by("entered_at").values_list("order_id", "tracking"))
        )

    def cancel(self, *, key: str, order_id: str) -> None:
        entry = {"key": key, "order_id": order_id, "kind": "cancellation", "tracking": ""}
        self.calls.enter(entry, Course())


@cache
def carrier() -> Carrier:
    if settings.CARRIER == "sandbox":
        return SandboxCarrier()
    raise ImproperlyConfigured(f"CARRIER is {settings.CARRIER!r}; only 'sandbox' is supported.")


def book(event: ShipmentRequested, key: str) -> Command:
    match carrier().book(key=key, order_id=event.order_id, address=event.address):
        case Booking(tracking):
            return BookShipment(event.order_id, tracking)
        case NotServed(reason):
            return RefuseShipment(event.order_id, reason)


def find_booking(event: ShipmentRequested, key: str) -> Command | None:
    found = carrier().find_booking(key=key)
    return BookShipment(event.order_id, found.tracking) if found else None


def cancel(event: ShipmentCancellationRequested, key: str) -> Command:
    carrier().cancel(key=key, order_id=event.order_id)
    return CompleteCancellation(event.order_id)


CARRIER = Effect(
    perform={
        ShipmentRequested: book,
        ShipmentCancellationRequested: cancel,
    },
    find={
        ShipmentRequested: find_booking,
    },
    key={
        ShipmentRequested: lambda event: f"booking:{event.order_id}",
        ShipmentCancellationRequested: lambda event: f"cancellation:{event.order_id}",
    },
)
