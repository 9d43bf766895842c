"""Following orders as they happen: one of them, or all of a customer's; told from the log alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from access.permissions import customer_id_of, may_touch, owns
from eventstore import codec, log
from eventstore.aggregate import stream_name
from eventstore.live.feed import CloseSocket, FeedItem, Follow
from eventstore.messages import Message
from eventstore.privacy import personal_data
from eventstore.projections import freshness
from orders import queries
from orders.api import public_events as timeline
from orders.api.public_events import Entry
from orders.events import OrderPlaced
from orders.models import OrderDetails

PAGE = 500
# Each socket holds one while its client takes it.
PAGE_BYTES = 1 << 18


def order(user: Any, order_id: str, *, version: int, position: int) -> Follow:
    """All that happens to one order: from behind a version of its own stream on, or a position,
    whichever is later."""
    owner = _owners([order_id]).get(order_id)
    if owner is None or not may_touch(user, owner):
        raise CloseSocket(4404, "nothing has this address")
    told_to = _position_of(order_id, version)
    # Of a version that the order does not have, the client was told by a log that is not this one:
    # from the beginning.
    after, restarted = 0 if told_to is None else max(position, told_to), told_to is None
    own = owns(user, owner)
    topic, tell = (
        (_of_order(order_id), timeline.entry)
        if own
        else (_of_order_masked(order_id), timeline.masked)
    )
    return Follow(
        topic, after, partial(_pages, tell, lambda until: [order_id]), restarted=restarted
    )


def orders(user: Any, *, position: int) -> Follow:
    """All that happens to the orders of whoever asks, from behind a position on."""
    customer_id = customer_id_of(user)
    return Follow(
        _of_customer(customer_id),
        position,
        partial(_pages, timeline.entry, partial(_ids, customer_id)),
    )


def told(messages: Sequence[Message]) -> list[FeedItem]:
    """What is new, under the order that it is about, and under its customer; and for staff, under
    the order as others may see it."""
    entries = [timeline.entry(message) for message in messages]
    owners = {
        entry.order_id: entry.data["customer_id"]
        for entry in entries
        if "customer_id" in entry.data
    }
    owners |= _owners({entry.order_id for entry in entries} - set(owners))
    return [
        each
        for message, entry in zip(messages, entries, strict=True)
        for each in _told_to_all(message, entry, _of_customer(owners[entry.order_id]))
    ]


def _told_to_all(message: Message, entry: Entry, customer: str) -> list[FeedItem]:
    own, others = (_of_order(entry.order_id), customer), _of_order_masked(entry.order_id)
    if not personal_data.holds(type(message.body)):
        return [_told(entry, *own, others)]
    return [_told(entry, *own), _told(timeline.masked(message), others)]


def _pages(
    tell: Callable[[Message], Entry], ids: Callable[[int], Iterable[str]], after: int, until: int
) -> Iterator[list[FeedItem]]:
    """Each page is asked for by itself, so that nothing is held open while a slow client reads."""
    streams = timeline.streams(ids(until))
    pages = log.read_merged(
        streams, types=timeline.types(), after=after, until=until, size=PAGE, bytes_=PAGE_BYTES
    )
    for page in pages:
        yield [_told(tell(message)) for message in page]


def _told(entry: Entry, *topics: str) -> FeedItem:
    return FeedItem(entry.position, topics, codec.encode_json(entry).decode())


def _ids(customer_id: str, until: int) -> set[str]:
    """Of all orders placed up to a position. The read model knows most; what it has not taken yet
    is in the log."""
    known_until = _taken()
    known = set(queries.list_customer_orders(customer_id).values_list("order_id", flat=True))
    placed = log.read_log(after=known_until, until=until, types=["orders.order_placed"])
    return known | {
        message.body.order_id for message in placed if message.body.customer_id == customer_id
    }


def _taken() -> int:
    """Up to where the read model has taken everything; nothing, before its subscription has
    begun."""
    standing = freshness.standing(OrderDetails, using=freshness.PRIMARY)
    position = standing.position or 0
    return position if standing.waiting is None else min(position, standing.waiting - 1)


def _position_of(order_id: str, version: int) -> int | None:
    """None when the order has not come to that version."""
    if version == 0:
        return 0
    stream = stream_name("order", order_id)
    for message in log.read_stream(stream, from_version=version, to_version=version):
        return message.position
    return None


def _owners(order_ids: Any) -> dict[str, str]:
    """Whose orders these are, of those that were placed."""
    streams = [stream_name("order", order_id) for order_id in order_ids]
    found = (
        log.read_streams(streams, types=["orders.order_placed"], limit=len(streams))
        if streams
        else []
    )
    return {
        message.body.order_id: message.body.customer_id
        for message in found
        if isinstance(message.body, OrderPlaced)
    }


def _of_order(order_id: str) -> str:
    return f"order {order_id}"


def _of_order_masked(order_id: str) -> str:
    return f"veiled order {order_id}"


def _of_customer(customer_id: str) -> str:
    return f"customer {customer_id}"
