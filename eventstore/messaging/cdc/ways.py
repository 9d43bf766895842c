"""The way out of each relay: by its own producer, or by the integration outbox and Debezium.

The way stands in the row of the relay's lease. A change gives the row another token, so that a
process which began a batch under the former way cannot settle it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from eventstore.messaging import relay_leases
from eventstore.postgres import execute, rows

RELAY, CDC = "relay", "cdc"
# A handover, or a refill of a new slot, that has begun: nothing is published meanwhile.
TO_RELAY, TO_CDC, REFILL = "to-relay", "to-cdc", "refill"


class Way(NamedTuple):
    """pending, pending_bytes: rows of the integration outbox that Debezium has not yet passed, and
    the bytes of their payloads."""

    name: str
    way: str
    is_unsettled: bool
    is_held: bool
    pending: int
    pending_bytes: int


def states() -> Sequence[Way]:
    """Of all relays that have a row, in the order of their names."""
    return [Way(*row) for row in rows(relay_leases.WAYS)]


def of(name: str) -> Way:
    found = next((each for each in states() if each.name == name), None)
    return found or Way(name, RELAY, False, False, 0, 0)


def by_cdc() -> Sequence[Way]:
    """Those that need the slot."""
    return [each for each in states() if each.way != RELAY]


def lock(name: str) -> str:
    """Its way, locked for this transaction."""
    execute(relay_leases.ENSURE, [name]).close()
    ((way,),) = rows(relay_leases.LOCK_WAY, [name])
    return str(way)


def hold(name: str, way: str) -> None:
    """Let no further batch begin. One that was begun may settle."""
    execute(relay_leases.HOLD_WAY, [way, name]).close()


def change(name: str, way: str) -> None:
    """What was begun under the former way can no longer settle."""
    execute(relay_leases.CHANGE_WAY, [way, name]).close()
