"""Hand a publication over: from the relay's own producer to change data capture, or back.

Both ways share one cursor, so there is no hole: what is at or before it has left by the former way,
what is behind it leaves by the new one. Before the way changes, everything before the cursor is at
the broker; else the handover is refused.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from django.db import DatabaseError

from eventstore import registry, settings
from eventstore.log import audit
from eventstore.messaging import relay
from eventstore.messaging.cdc import outbox, slots, topics, ways
from eventstore.messaging.cdc.ways import CDC, REFILL, RELAY, TO_CDC, TO_RELAY
from eventstore.messaging.transport import BrokerProblem
from eventstore.outbox import cursors, wakeup
from eventstore.postgres import atomic
from eventstore.subscriptions import Relay

from . import cdc
from .control import NoSuchSubscription, OperationRefused

# For a batch of the relay (longer than its lease), or for Debezium.
SECONDS = 60.0
LOOK_SECONDS = 0.1


class Handover(NamedTuple):
    """position: where the new way begins, behind it. may_repeat: how many events at most are
    published a second time, under the same ids."""

    relay: str
    way: str
    position: int
    may_repeat: int


def named(publication: str) -> str:
    """The relay to Kafka of a publication, or of that name. Raises NoSuchSubscription,
    OperationRefused."""
    known = cdc.relays()
    for name in known:
        if publication in (name, name.partition("@")[0]):
            return name
    if publication in registry.of_kind(Relay):
        raise OperationRefused(f"{publication} is not a relay to Kafka; Debezium publishes there.")
    raise NoSuchSubscription(
        f"{publication!r} has no relay to Kafka. Relays to Kafka: {', '.join(known) or 'none'}."
    )


def hand_over(
    publication: str,
    way: str,
    *,
    who: str,
    reason: str,
    repeat: bool = False,
    seconds: float = SECONDS,
) -> Handover:
    """Let a publication leave by another way, from the position on that its cursor has reached;
    events may be appended meanwhile. repeat: to the relay although the slot is gone: it publishes
    the events again that Debezium may not have published. seconds: how long to wait for what is on
    its way.

    Raises NoSuchSubscription, OperationRefused, audit.ReasonMissing.
    """
    reason, name = audit.require_reason(reason), named(publication)
    if ways.of(name).way == way:
        raise OperationRefused(f"{name} leaves by {way} already.")
    transfer = Transfer(name, who, reason, time.monotonic() + seconds)
    done = transfer.to_cdc() if way == CDC else transfer.to_relay(repeat=repeat)
    wakeup.wake_workers()
    return done


class Transfer:
    """end: by time.monotonic(); until then it waits."""

    def __init__(self, name: str, who: str, reason: str, end: float) -> None:
        self.name, self.who, self.reason, self.end = name, who, reason, end
        self.slot = settings.cdc_slot()

    def to_cdc(self) -> Handover:
        """The relay begins no further batch; the one under way settles. A process that died in the
        middle of one is shut out from Kafka, and its batch leaves by both ways."""
        if why := cdc.problem(slots.state(self.slot), slots.is_published(self.slot)):
            raise OperationRefused(why)
        former = self._begin(TO_CDC)
        with self._or_else(former):
            while (state := ways.of(self.name)).is_unsettled and state.is_held:
                self._wait("the relay publishes a batch, and it does not end")
            if state.is_unsettled:
                topics.fence(registry.of_kind(Relay)[self.name].broker, self.name)
            return self._end(CDC, relay.BATCH if state.is_unsettled else 0)

    def to_relay(self, *, repeat: bool) -> Handover:
        """No further row is written, and Debezium passes what was written. Without the slot, what
        it may not have published is published again."""
        why = cdc.problem(slots.state(self.slot), slots.is_published(self.slot))
        if why and not repeat:
            pending = ways.of(self.name).pending
            raise OperationRefused(
                f"{why} {pending} events of {self.name} may not be in Kafka: --repeat has the relay"
                " publish them again, under the same ids."
            )
        if repeat and (found := slots.state(self.slot)) and not found.is_lost:
            raise OperationRefused(
                f"The slot {self.slot} exists: Debezium would publish the events as well. Without"
                " --repeat the handover waits for it; or first manage.py cdc drop --force."
            )
        former = self._begin(TO_RELAY)
        with self._or_else(former):
            if repeat:
                return self._end(RELAY, ways.of(self.name).pending, again=True)
            place = slots.place()
            while not (passed := slots.has_passed(self.slot, place)):
                if passed is None:
                    raise OperationRefused(f"The slot {self.slot} was dropped meanwhile.")
                self._wait("Debezium has not passed what was written; see manage.py cdc status")
            return self._end(RELAY, 0)

    def _begin(self, way: str) -> str:
        """Returns the way before."""
        with atomic():
            cursors.hold(self.name)
            former = ways.lock(self.name)
            if former == REFILL:
                raise OperationRefused(f"{self.name} waits for a slot: manage.py cdc create.")
            if way.endswith(f"-{former}"):
                raise OperationRefused(f"{self.name} leaves by {former} already.")
            # A batch of rows that was not committed never happened; one for Kafka may have.
            (ways.change if former == CDC else ways.hold)(self.name, way)
        return {TO_CDC: RELAY, TO_RELAY: CDC}.get(former, former)

    @contextmanager
    def _or_else(self, former: str) -> Iterator[None]:
        """Back to the former way if it fails or is interrupted."""
        try:
            yield
        except BaseException as error:
            with suppress(DatabaseError):
                ways.hold(self.name, former)
                wakeup.wake_workers()
            if isinstance(error, BrokerProblem):
                raise OperationRefused(
                    f"{self.name} still leaves by {former}: its last batch may be on its way, and"
                    f" Kafka does not answer: {error}"
                ) from None
            raise

    def _wait(self, why: str) -> None:
        if time.monotonic() > self.end:
            raise OperationRefused(f"{self.name} was not handed over in time: {why}.")
        time.sleep(LOOK_SECONDS)

    def _end(self, way: str, may_repeat: int, *, again: bool = False) -> Handover:
        with atomic():
            # The outbox must not be cleared while a cursor moves back.
            cursors.hold(cursors.CLEARED)
            cursors.hold(self.name)
            ways.lock(self.name)
            if again and (first := outbox.first_position(self.name)) is not None:
                cursors.move(self.name, min(first - 1, cursors.position_of(self.name)))
            position = cursors.position_of(self.name)
            if way == RELAY:
                outbox.empty(self.name)
            ways.change(self.name, way)
            audit.record(
                self.who,
                "handover",
                self.name,
                reason=self.reason,
                details={"to": way, "position": position, "may_repeat": may_repeat},
            )
        return Handover(self.name, way, position, may_repeat)
