"""Live feeds of one order, or of all orders of a customer; read from the log alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from access.authorization import may_touch, owns
from eventstore import codec, log
from eventstore.aggregate import stream_name
from eventstore.live.feed import CloseSocket, FeedItem, Follow
from eventstore.messages import Message
from eventstore.privacy import personal_data
from eventstore.projections import freshness
from orders import queries
from orders.api import public_events
from orders.api.public_events import Entry
from orders.events import OrderPlaced
from orders.models import OrderDetails

PAGE = 500
MASKED = "masked order "
# Each socket holds one page while its client reads it.
PAGE_BYTES = 1 << 18


def order(user: Any, order_id: str, *, version: int, position: int) -> Follow:
    """The feed of one order, after a version of its own stream or a position, whichever is later.

    Raises CloseSocket.
    """
    owner = _owners([order_id]).get(order_id)
    if owner is None or not may_touch(user, owner):
        raise CloseSocket(4404, "nothing has this address")
    after, restarted = position, False
    if version:
        stream = stream_name("order", order_id)
        seen = next(log.read_stream(stream, from_version=version, to_version=version), None)
        # The client may have a version that this log does not have, from before a restore: start
        # again.
        after, restarted = (0, True) if seen is None else (max(position, seen.position), False)
    if owns(user, owner):
        topic, entry_of = _of_order(order_id), public_events.entry
    else:
        topic, entry_of = _of_order_masked(order_id), public_events.masked
    pages = partial(_pages, entry_of, lambda until: [order_id])
    return Follow(topic, after, pages, restarted=restarted)


def orders(user: Any, *, position: int) -> Follow:
    """The feed of all orders of the user, after a position."""
    customer_id = user.customer_id
    return Follow(
        _of_customer(customer_id),
        position,
        partial(_pages, public_events.entry, partial(_ids, customer_id)),
    )


def items(messages: Sequence[Message]) -> list[FeedItem]:
    """New events, under the topics of their order and of its customer; for staff, masked under a
    topic of their own."""
    entries = [public_events.entry(message) for message in messages]
    with_owner = [entry for entry in entries if "customer_id" in entry.data]
    owners = {entry.order_id: entry.data["customer_id"] for entry in with_owner}
    owners |= _owners({entry.order_id for entry in entries} - set(owners))
    found = []
    for message, entry in zip(messages, entries, strict=True):
        own = (_of_order(entry.order_id), _of_customer(owners[entry.order_id]))
        staff = _of_order_masked(entry.order_id)
        if personal_data.holds(type(message.body)):
            found += [_item(entry, *own), _item(public_events.masked(message), staff)]
        else:
            found.append(_item(entry, *own, staff))
    return found


def _pages(
    entry_of: Callable[[Message], Entry],
    ids: Callable[[int], Iterable[str]],
    after: int,
    until: int,
) -> Iterator[list[FeedItem]]:
    """Each page is a query of its own, so that no connection is held while a slow client reads."""
    streams = public_events.streams(ids(until))
    pages = log.read_merged(
        streams, types=public_events.types(), after=after, until=until, size=PAGE, bytes_=PAGE_BYTES
    )
    for page in pages:
        yield [_item(entry_of(message)) for message in page]


def _item(entry: Entry, *topics: str) -> FeedItem:
    return FeedItem(entry.position, topics, codec.encode_json(entry).decode())


def _ids(customer_id: str, until: int) -> set[str]:
    """Ids of a customer's orders placed up to a position. The read model has most of them, the log
    those that the read model has not folded yet."""
    progress = freshness.standing(OrderDetails, using=freshness.PRIMARY)
    # Up to here the read model has every event; 0 before its subscription has begun.
    known_until = progress.position or 0
    if progress.waiting is not None:
        known_until = min(known_until, progress.waiting - 1)
    known = set(queries.list_customer_orders(customer_id).values_list("order_id", flat=True))
    placed = log.read_log(after=known_until, until=until, types=["orders.order_placed"])
    return known | {
        message.body.order_id for message in placed if message.body.customer_id == customer_id
    }


def _owners(order_ids: Any) -> dict[str, str]:
    """order id -> customer id, of the orders that were placed."""
    streams = [stream_name("order", order_id) for order_id in order_ids]
    if not streams:
        return {}
    placed = log.read_streams(streams, types=["orders.order_placed"], limit=len(streams))
    return {
        message.body.order_id: message.body.customer_id
        for message in placed
        if isinstance(message.body, OrderPlaced)
    }


def _of_order(order_id: str) -> str:
    return f"order {order_id}"


def _of_order_masked(order_id: str) -> str:
    return f"{MASKED}{order_id}"


def is_for_staff(topic: str) -> bool:
    """Whether only staff may follow it. The owner of an order never changes, the groups of a user
    do."""
    return topic.startswith(MASKED)


def _of_customer(customer_id: str) -> str:
    return f"customer {customer_id}"
