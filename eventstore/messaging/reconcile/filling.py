"""Publish what is missing, under the same ids, in place of the relay and never beside it.

The relay's lease is held meanwhile, so that no process relays; on Kafka, the transaction of the
relay's name shuts out one that does not know it yet.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from itertools import groupby, islice
from typing import NamedTuple

from eventstore import registry
from eventstore.log import audit, epochs
from eventstore.messaging import brokers, relay_leases
from eventstore.messaging.publisher import Translator
from eventstore.messaging.relay import PUBLISH_SECONDS
from eventstore.messaging.relay_leases import RelayLease
from eventstore.messaging.transport import Batch, Outgoing, Refused, Sent, Transport
from eventstore.outbox import cursors, parked
from eventstore.subscriptions import Relay

from . import records
from .broker_side import BrokerSide
from .merge import still_missing
from .run import Found, ReconciliationRefused
from .sorting import Sorter

# Positions that are published and settled at once.
BATCH = 500
# A relay keeps its lease for some seconds after its last message.
LEASE_WAIT_SECONDS, LEASE_POLL_SECONDS = 20.0, 0.2


class Refilled(NamedTuple):
    """published: messages. arrived: those that came by themselves meanwhile. refused: position ->
    why the broker does not take it."""

    published: int = 0
    arrived: int = 0
    refused: dict[int, str] = {}


def refill(found: Found, *, who: str, reason: str) -> Refilled:
    """Publish the missing messages. The action is recorded before the first one is sent.

    Raises audit.ReasonMissing, ReconciliationRefused, transport.BrokerProblem.
    """
    reason = audit.require_reason(reason)
    if found.reader.is_compacted:
        raise ReconciliationRefused(
            f"{found.reader.place} is compacted: an old message would become the newest of its key."
        )
    if not len(found.missing):
        return Refilled()
    with closing(Filling(found.report.relay)) as filling:
        filling.take(found.report.until)
        missing = _after_another_look(found)
        details = {"place": found.reader.place, "messages": len(missing)}
        audit.record(who, "refill", filling.name, reason=reason, details=details)
        published, refused = 0, dict[int, str]()
        placed = map(records.placed, missing)
        grouped = groupby(placed, lambda each: each.position)
        positions = ((position, {each.id for each in group}) for position, group in grouped)
        while batch := dict(islice(positions, BATCH)):
            sent, failed = filling.publish(batch)
            published += sent
            refused |= failed
        return Refilled(published, len(found.missing) - len(missing), refused)


def _after_another_look(found: Found) -> Sorter:
    """What is still missing, in the order of the log: the relay went on until its lease was
    taken."""
    arrived = BrokerSide(found.report.after, found.report.until)
    for messages in found.reader.read():
        arrived.add(messages)
    by_place = Sorter(records.PLACED.size)
    for record in still_missing(found.missing, arrived.sorted):
        wanted = records.expected(record)
        by_place.add_one(records.PLACED.pack(wanted.place, wanted.id))
    arrived.close()
    return by_place


class Filling:
    """The relay's place, held for as long as messages are published. position: of its cursor.
    token: of the lease."""

    def __init__(self, name: str) -> None:
        self.name, self.relay = name, registry.of_kind(Relay)[name]
        self.translator = Translator(self.relay.publication)
        self.transport: Transport = brokers.transport(self.relay.broker, name)
        self.position = self.token = 0

    def take(self, until: int) -> None:
        """The lease, when the relay leaves it. until: up to where was compared. Raises
        ReconciliationRefused."""
        end = time.monotonic() + LEASE_WAIT_SECONDS
        while (lease := self._lease()) is None:
            if time.monotonic() > end:
                raise ReconciliationRefused(
                    f"{self.name} is busy: manage.py subscriptions pause {self.name}, then again."
                )
            time.sleep(LEASE_POLL_SECONDS)
        if self.position < until:
            raise ReconciliationRefused(
                f"{self.name} was moved back to {self.position}: it publishes again by itself."
            )
        if lease.settled != lease.token - 1:
            # A checkpoint of ours would hide that of its batch, which may be published already.
            raise ReconciliationRefused(
                f"The last batch of {self.name} is not settled. Let it run first: manage.py"
                f" subscriptions resume {self.name}."
            )
        self._settle()

    def publish(self, batch: Mapping[int, set[bytes]]) -> tuple[int, dict[int, str]]:
        """batch: position -> ids. Returns how many messages were published, and the positions that
        were refused, with the reason. Raises ReconciliationRefused, transport.BrokerProblem."""
        lease = self._lease()
        if lease is None:
            raise ReconciliationRefused(f"Another process has {self.name}: compare again.")
        messages = cursors.read_at(self.name, list(batch))
        held = parked.positions(self.name, after=min(batch) - 1, until=max(batch))
        self.translator.begin(messages)
        outgoing = list[Outgoing]()
        for message in messages:
            if message.position not in held:
                envelopes = self.translator.envelopes_again(message)
                ids = batch[message.position]
                prepared = [self.transport.prepare(e) for e in envelopes if e.id.bytes in ids]
                outgoing.append(Outgoing(message.position, prepared))
        deadline, refused = time.monotonic() + PUBLISH_SECONDS, dict[int, Refused]()
        sent = Sent(again=True)
        while sent.again:
            left = [each for each in outgoing if each.position not in refused]
            sending = Batch(self.name, epochs.mark(), lease.token, lease.settled, deadline, left)
            sent = self.transport.send(sending, lambda: None)  # no other work meanwhile
            refused |= sent.refused
        if sent.problem is not None:
            raise sent.problem
        self._settle()
        published = (len(each.prepared) for each in outgoing if each.position not in refused)
        return sum(published), {at: f"{type(why).__name__}: {why}" for at, why in refused.items()}

    def close(self) -> None:
        self.transport.close()
        relay_leases.release(self.name, self.token)

    def _lease(self) -> RelayLease | None:
        self.position = cursors.position_of(self.name)
        lease = relay_leases.take(self.name, self.position, even_paused=True)
        if lease is not None:
            self.token = lease.token
        return lease

    def _settle(self) -> None:
        """The cursor stays where it is; the token counts as settled."""
        if not relay_leases.settle(self.name, self.token, self.position, self.position):
            raise ReconciliationRefused(f"Another process has {self.name}: compare again.")
