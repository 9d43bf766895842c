from operator import attrgetter

from eventstore.subscriptions import Projection, Row

from .events import BookingCancelled, DoorCodeIssued, RoomBooked
from .models import Booking


def booked(row: Row, event: RoomBooked) -> Row:
    return row | {
        "room_id": event.room_id,
        "who": event.who,
        "starts_at": event.starts_at,
        "ends_at": event.ends_at,
    }


def issued(row: Row, event: DoorCodeIssued) -> Row:
    return row | {"code": event.code, "status": "OPEN"}


def cancelled(row: Row, event: BookingCancelled) -> Row:
    return row | {"code": "", "status": "CANCELLED"}


BOOKINGS = Projection(
    model=Booking,
    category="room",
    key=attrgetter("booking_id"),
    evolve={
        RoomBooked: booked,
        DoorCodeIssued: issued,
        BookingCancelled: cancelled,
    },
)
