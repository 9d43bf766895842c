from datetime import datetime

from eventstore.messages import Command


class AddRoom(Command, frozen=True):
    room_id: str
    name: str


class BookRoom(Command, frozen=True):
    room_id: str
    booking_id: str
    who: str
    starts_at: datetime
    ends_at: datetime


class CancelBooking(Command, frozen=True):
    room_id: str
    booking_id: str


class RecordDoorCode(Command, frozen=True):
    """The lock of the door has a code for this booking."""

    room_id: str
    booking_id: str
    code: str


COMMANDS = {
    "rooms.add_room": AddRoom,
    "rooms.book_room": BookRoom,
    "rooms.cancel_booking": CancelBooking,
    "rooms.record_door_code": RecordDoorCode,
}
