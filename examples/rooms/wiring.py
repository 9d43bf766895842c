"""Which aggregate decides a command, and which subscription handles an event."""

from eventstore.subscriptions import Commands

from . import commands, events
from .locks import LOCKS
from .process import OPENING
from .projections import BOOKINGS
from .room import ROOM

EVENTS = [events.EVENTS]
COMMANDS = [commands.COMMANDS]
AGGREGATES = [ROOM]
SUBSCRIPTIONS = {
    "rooms": Commands(),
    "rooms.bookings": BOOKINGS,
    "rooms.locks": LOCKS,
    "rooms.opening": OPENING,
}
