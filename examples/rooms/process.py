"""A booking whose door code does not come in time is cancelled."""

from datetime import timedelta
from operator import attrgetter

from eventstore.messages import DeadlinePassed, State, replace
from eventstore.subscriptions import Reaction, Saga

from .commands import CancelBooking
from .events import BookingCancelled, DoorCodeIssued, RoomBooked

PATIENCE = timedelta(minutes=10)


class Opening(State, frozen=True):
    status: str = "NEW"
    room_id: str = ""


def booked(opening: Opening, event: RoomBooked) -> Reaction:
    return Reaction(Opening("WAITING", event.room_id), deadline=PATIENCE)


def issued(opening: Opening, event: DoorCodeIssued) -> Reaction:
    return Reaction(replace(opening, status="OPEN"))


def late(opening: Opening, event: DeadlinePassed) -> Reaction:
    return Reaction(replace(opening, status="LATE"), [CancelBooking(opening.room_id, event.key)])


def cancelled(opening: Opening, event: BookingCancelled) -> Reaction:
    return Reaction(replace(opening, status="CANCELLED"))


OPENING = Saga(
    initial=Opening(),
    key=attrgetter("booking_id"),
    react={
        RoomBooked: booked,
        DoorCodeIssued: issued,
        DeadlinePassed: late,
        BookingCancelled: cancelled,
    },
)
