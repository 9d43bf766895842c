"""Relays and consumers as the console shows them: what is at the broker, from PostgreSQL alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from eventstore import registry
from eventstore.messaging import relay_leases
from eventstore.messaging.relay_leases import RelayState
from eventstore.operations import consumers
from eventstore.operations.consumers import ConsumerState
from eventstore.subscriptions import Relay

from . import formatting


class AtBroker(NamedTuple):
    """A relay or consumer. behind: messages at the broker that a consumer has not read; None for a
    relay, and while no reader has looked. error: what stops it; "" for nothing. by: the process
    that holds a relay, or those that read for a consumer. level: good, waiting or bad.
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
    def summary(self) -> str:
        parts = [self.broker, self.error and formatting.shortened(self.error)]
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
    """Of the wiring; four queries at most, none without relays and consumers."""
    wired = registry.of_kind(Relay)
    states = {each.name: each for each in relay_leases.states()} if wired else {}
    found = []
    for name, relay in wired.items():
        state = states.get(name)
        error = state.error if state else ""
        by = [state.holder] if state and state.is_held else []
        level = "bad" if error else "good"
        found.append(AtBroker(name, relay.broker, None, 0, error, by, level, relay=state))
    return [*found, *map(_consumer, consumers.states())]


def _consumer(state: ConsumerState) -> AtBroker:
    level = "bad" if state.error else "waiting" if state.behind else "good"
    return AtBroker(
        state.name,
        state.broker,
        state.behind,
        state.early,
        state.error,
        [f"{each.name}, {formatting.age(each.seconds)} ago" for each in state.readers],
        level,
        consumer=state,
    )
