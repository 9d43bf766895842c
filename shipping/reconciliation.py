"""Compare the carrier's book with the log: parcels booked for orders that the log has lost."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from eventstore import log
from eventstore.aggregate import stream_name
from shipping.carrier import Carrier

BATCH = 200


class Lost(NamedTuple):
    """A booked parcel without a shipment in the log. tracking: the carrier's tracking number."""

    order_id: str
    tracking: str


def lost(carrier: Carrier, *, since: datetime) -> Iterator[Lost]:
    """Parcels booked since then, not cancelled, and missing in the log. Raises what the carrier
    raises if it does not answer."""
    booked = carrier.booked(since=since)
    while batch := list(islice(booked, BATCH)):
        streams = {stream_name("shipment", order_id): 0 for order_id, _ in batch}
        known = {stream for stream, _, _ in log.read_newer(streams)}
        yield from (Lost(*each) for each in batch if stream_name("shipment", each[0]) not in known)


def report_lost(since: datetime) -> Iterator[str]:
    """One line for each lost parcel, for manage.py after_restore."""
    from shipping.carrier import carrier

    for each in lost(carrier(), since=since):
        yield (
            f"{each.order_id}: lost, the log has no shipment of it; the carrier has booked"
            f" {each.tracking}"
        )
