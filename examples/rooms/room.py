"""A room, which is booked by one person at a time."""

from datetime import datetime

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Event, State, Value, replace

from .commands import AddRoom, BookRoom, CancelBooking, RecordDoorCode
from .events import BookingCancelled, DoorCodeIssued, RoomAdded, RoomBooked


class NoSuchRoom(CommandRejected):
    """The room does not exist."""


class RoomTaken(CommandRejected):
    """The room is booked at that time."""


class EndsBeforeItStarts(CommandRejected):
    """A booking has to end after it starts."""


class Slot(Value, frozen=True):
    starts_at: datetime
    ends_at: datetime
    code: str = ""


class Room(State, frozen=True):
    """slots: by booking."""

    name: str = ""
    slots: dict[str, Slot] = {}


def add(room: Room, command: AddRoom) -> list[Event]:
    return [] if room.name else [RoomAdded(command.room_id, command.name)]


def book(room: Room, command: BookRoom) -> list[Event]:
    if not room.name:
        raise NoSuchRoom(command.room_id)
    if command.ends_at <= command.starts_at:
        raise EndsBeforeItStarts(command.booking_id)
    if command.booking_id in room.slots:
        return []
    for slot in room.slots.values():
        if command.starts_at < slot.ends_at and slot.starts_at < command.ends_at:
            raise RoomTaken(command.room_id)
    return [
        RoomBooked(
            room_id=command.room_id,
            booking_id=command.booking_id,
            who=command.who,
            starts_at=command.starts_at,
            ends_at=command.ends_at,
        )
    ]


def cancel(room: Room, command: CancelBooking) -> list[Event]:
    if command.booking_id not in room.slots:
        return []
    return [BookingCancelled(command.room_id, command.booking_id)]


def record_code(room: Room, command: RecordDoorCode) -> list[Event]:
    slot = room.slots.get(command.booking_id)
    if slot is None or slot.code:
        return []
    return [DoorCodeIssued(command.room_id, command.booking_id, command.code)]


def booked(room: Room, event: RoomBooked) -> Room:
    return replace(
        room, slots=room.slots | {event.booking_id: Slot(event.starts_at, event.ends_at)}
    )


def cancelled(room: Room, event: BookingCancelled) -> Room:
    slots = {each: slot for each, slot in room.slots.items() if each != event.booking_id}
    return replace(room, slots=slots)


def issued(room: Room, event: DoorCodeIssued) -> Room:
    slot = replace(room.slots[event.booking_id], code=event.code)
    return replace(room, slots=room.slots | {event.booking_id: slot})


ROOM = Aggregate(
    category="room",
    identity="room_id",
    initial=Room(),
    decide={
        AddRoom: add,
        BookRoom: book,
        CancelBooking: cancel,
        RecordDoorCode: record_code,
    },
    evolve={
        RoomAdded: lambda room, event: replace(room, name=event.name),
        RoomBooked: booked,
        BookingCancelled: cancelled,
        DoorCodeIssued: issued,
    },
)
