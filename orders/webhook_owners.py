"""Whose integration events are: those of the customer whose order they are about."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.messaging.event_bus import Envelope
from orders.events import OrderPlaced
from orders.order.aggregate import ORDER


def owners(envelopes: Sequence[Envelope]) -> Mapping[UUID, str]:
    """Id of the envelope -> customer id; "" for a guest. Events about no order are left out.

    Read from the log: the read model of orders may be behind.
    """
    orders = {
        each.id: order for each in envelopes if (order := getattr(each.event, "order_id", None))
    }
    known = {
        getattr(each.event, "order_id", ""): customer
        for each in envelopes
        if (customer := getattr(each.event, "customer_id", None)) is not None
    }
    customers = known | _customers(set(orders.values()) - known.keys())
    return {id_: customers.get(order, "") for id_, order in orders.items()}


def _customers(order_ids: set[str]) -> dict[str, str]:
    """By the first event of each order."""
    if not order_ids:
        return {}
    streams = [stream_name(ORDER.category, order_id) for order_id in order_ids]
    placed = log.read_streams(streams, types=["orders.order_placed"], limit=None)
    return {
        each.body.order_id: each.body.customer_id
        for each in placed
        if isinstance(each.body, OrderPlaced)
    }
