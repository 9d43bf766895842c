"""The calls to the provider of the locks. This one computes the code; a real one would be asked by
HTTP, with the idempotency key."""

from hashlib import sha256

from eventstore.messages import Command
from eventstore.subscriptions import Effect

from .commands import RecordDoorCode
from .events import RoomBooked


def ask_for_code(event: RoomBooked, key: str) -> Command:
    code = f"{int(sha256(key.encode()).hexdigest(), 16) % 10_000:04}"
    return RecordDoorCode(event.room_id, event.booking_id, code)


LOCKS = Effect(
    perform={RoomBooked: ask_for_code},
    key={RoomBooked: lambda event: f"{event.booking_id}:code"},
)
