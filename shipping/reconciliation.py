"""The carrier's book beside the log: parcels that are booked for orders which the log does not
have."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from eventstore import log
from eventstore.aggregate import stream_name
from shipping.carrier import Carrier

BATCH = 200


class Lost(NamedTuple):
    """A parcel that nobody here knows of. tracking: the carrier's own number."""

    order_id: str
    tracking: str


def lost(carrier: Carrier, *, since: datetime) -> Iterator[Lost]:
    """Booked since then, not cancelled, and not in the log. Raises what the carrier raises without
    an answer."""
    booked = carrier.booked(since=since)
    while batch := list(islice(booked, BATCH)):
        streams = {stream_name("shipment", order_id): 0 for order_id, _ in batch}
        known = {stream for stream, _, _ in log.read_newer(streams)}
        yield from (Lost(*each) for each in batch if stream_name("shipment", each[0]) not in known)


def report_lost(since: datetime) -> Iterator[str]:
    """A sentence for each; for manage.py after_restore."""
    from shipping.carrier import carrier

    for each in lost(carrier(), since=since):
        yield (
            f"{each.order_id}: lost, no shipment of it is in the log; the carrier has booked"
            f" {each.tracking}"
        )
