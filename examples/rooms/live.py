"""The events of a room over a WebSocket: /ws/rooms/ROOM/?after=POSITION, with the token of the API.

manage.py live serves them.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import parse_qs

from rest_framework.authtoken.models import Token

from eventstore import log, registry
from eventstore.aggregate import stream_name
from eventstore.live.feed import (
    Admission,
    CloseSocket,
    Feed,
    FeedItem,
    Follow,
    Holding,
    SocketRequest,
)
from eventstore.messages import Message

from .events import BookingCancelled, RoomBooked

TYPES = ("rooms.room_booked", "rooms.booking_cancelled")
PATH = re.compile(r"/ws/rooms/([A-Za-z0-9-]{1,64})/")


def admit(request: SocketRequest) -> Admission:
    """Raises CloseSocket."""
    given = request.headers.get("authorization", "").removeprefix("Token ")
    token = Token.objects.filter(key=given, user__is_active=True).first()
    if token is None:
        raise CloseSocket(4401, "missing or invalid token")
    found, after = PATH.fullmatch(request.path), parse_qs(request.query).get("after", ["0"])[0]
    if found is None or not after.isdecimal():
        raise CloseSocket(4404, "not found")
    stream = stream_name("room", found[1])
    return Admission(
        token.key, str(token.user.pk), Follow(stream, int(after), partial(past, stream))
    )


def past(stream: str, after: int, until: int) -> Iterator[Sequence[FeedItem]]:
    for message in log.read_stream(stream):
        if after < message.position <= until and message.type in TYPES:
            yield items([message])


def items(messages: Sequence[Message]) -> list[FeedItem]:
    return [FeedItem(each.position, (each.stream,), _text(each)) for each in messages]


def still_held(held: Collection[Holding]) -> list[Holding]:
    tokens = Token.objects.filter(key__in={each.token for each in held}, user__is_active=True)
    valid = set(tokens.values_list("key", flat=True))
    return [each for each in held if each.token in valid]


def no_socket(status: int, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    return {"Content-Type": "text/plain"}, b"This server accepts only WebSockets.\n"


def _text(message: Message) -> str:
    event: RoomBooked | BookingCancelled = message.body
    named = {"type": registry.name_of_class(type(event)), "booking_id": event.booking_id}
    return json.dumps({"position": message.position, **named})


FEED = Feed("rooms.v1", TYPES, admit, items, still_held, no_socket)
