from datetime import datetime

from eventstore.messages import Event


class RoomAdded(Event, frozen=True):
    room_id: str
    name: str


class RoomBooked(Event, frozen=True):
    room_id: str
    booking_id: str
    who: str
    starts_at: datetime
    ends_at: datetime


class BookingCancelled(Event, frozen=True):
    room_id: str
    booking_id: str


class DoorCodeIssued(Event, frozen=True):
    room_id: str
    booking_id: str
    code: str


EVENTS = {
    "rooms.room_added": RoomAdded,
    "rooms.room_booked": RoomBooked,
    "rooms.booking_cancelled": BookingCancelled,
    "rooms.door_code_issued": DoorCodeIssued,
}
