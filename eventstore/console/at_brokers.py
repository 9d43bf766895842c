"""Relays and consumers as the console shows them: what is at the broker, from PostgreSQL alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from eventstore import registry
from eventstore.delivery import heartbeats
from eventstore.delivery.heartbeats import Heartbeat
from eventstore.messaging import relay_leases
from eventstore.messaging.cdc import ways
from eventstore.messaging.relay_leases import RelayState
from eventstore.operations import consumers
from eventstore.operations.consumers import ConsumerState
from eventstore.subscriptions import Relay

from . import formatting

WAYS = {
    ways.CDC: "change data capture",
    ways.TO_CDC: "handover to change data capture, not finished",
    ways.TO_RELAY: "handover to the relay, not finished",
    ways.REFILL: "change data capture, waits for a new slot",
}


class AtBroker(NamedTuple):
    """A relay or consumer. behind: messages at the broker that a consumer has not read; None for a
    relay, and where that is unknown. error: what stops it; "" for nothing. by: the process
    that holds a relay, else those that publish when there is something; or those that read for a
    consumer. level: good, waiting or bad.
    relay, consumer: the other figures of one of the two."""

    name: str
    broker: str
    behind: int | None
    early: int
    error: str
    by: Sequence[str]
    level: str
    relay: RelayState | None = None
    consumer: ConsumerState | None = None

    @property
    def way(self) -> str:
        """Of a relay whose own producer does not publish."""
        return WAYS.get(self.relay.way, "") if self.relay else ""

    @property
    def summary(self) -> str:
        parts = [self.broker, self.way, self.error and formatting.shortened(self.error)]
        if self.behind is not None:
            parts.append(f"{self.behind} not read")
        if self.early:
            parts.append(f"{self.early} too early")
        return ", ".join(filter(None, parts))

    def as_json(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in self._asdict().items()
            if name not in ("relay", "consumer")
        }


def at_brokers() -> list[AtBroker]:
    """Of the wiring; five queries at most, none without relays and consumers."""
    wired = registry.of_kind(Relay)
    states = {each.name: each for each in relay_leases.states()} if wired else {}
    beats = heartbeats.heartbeats() if wired else []
    relaying = [
        each for each in beats if each.kind == heartbeats.RELAYS and each.seconds < consumers.SILENT
    ]
    found = []
    for name, relay in wired.items():
        state = states.get(name)
        error = state.error if state else ""
        by = [state.holder] if state and state.is_held else list(map(_process, relaying))
        level = "bad" if error else "good"
        found.append(AtBroker(name, relay.broker, None, 0, error, by, level, relay=state))
    for each in consumers.states():
        name, broker, readers = each.name, each.broker, list(map(_process, each.readers))
        level = "bad" if each.error else "waiting" if each.behind else "good"
        behind = each.behind, each.early
        found.append(AtBroker(name, broker, *behind, each.error, readers, level, consumer=each))
    return found


def _process(beat: Heartbeat) -> str:
    return f"{beat.name}, {formatting.age(beat.seconds)} ago"
