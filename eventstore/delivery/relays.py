"""Relays: in a process of their own where one is alive, otherwise in the workers.

Relays in a worker compete with the processes of the orders for its interpreter. So a worker leaves
them to manage.py relay, and wakes it when it has nothing else to deliver.
"""

import logging
import threading
import time
from collections.abc import Iterable
from datetime import timedelta

from django.db import close_old_connections

from eventstore import registry
from eventstore.messaging import relay
from eventstore.outbox import cursors, wakeup
from eventstore.subscriptions import Relay

from . import heartbeats

logger = logging.getLogger(__name__)

# Without a heartbeat for so long, the process of the relays counts as dead.
SILENCE = timedelta(seconds=12)
# How long a worker believes what it knows of that process.
TRUSTED_SECONDS = 1.0
# The process: between two polls; between two looks after a message; how long it keeps connections.
POLL_SECONDS, LOOK_SECONDS, LINGER_SECONDS = 1.0, 0.015, 60.0


class Process:
    """What a worker knows of the process of the relays."""

    def __init__(self) -> None:
        self._is_alive, self._queried_at = False, -TRUSTED_SECONDS

    def is_alive(self) -> bool:
        if time.monotonic() - self._queried_at >= TRUSTED_SECONDS:
            self._is_alive = bool(registry.of_kind(Relay)) and heartbeats.is_alive(
                heartbeats.RELAYS, within=SILENCE
            )
            self._queried_at = time.monotonic()
        return self._is_alive

    def forget(self) -> None:
        self._queried_at = -TRUSTED_SECONDS


process = Process()


def step(name: str, each: Relay) -> int:
    """In a worker. Returns how many messages the relay has moved since the last call."""
    if process.is_alive():
        wakeup.wake_relays()
        return 0
    return relay.this_process.step(name, each)


def unavailable(names: Iterable[str]) -> set[str]:
    """The relays among these subscriptions that a worker has nothing to do for at present."""
    found = set(names) & registry.of_kind(Relay).keys()
    return found if found and process.is_alive() else relay.this_process.unavailable(found)


def wake(names: Iterable[str]) -> None:
    """Wake the process of the relays if one of these subscriptions is a relay."""
    if registry.of_kind(Relay).keys() & set(names) and process.is_alive():
        wakeup.wake_relays()


def serve(stop: threading.Event) -> None:
    """The process of the relays, until it is asked to stop."""
    listener = wakeup.relay_listener()
    while not stop.is_set():
        try:
            run_once(stop)
        except Exception:  # noqa: BLE001  such as a database restart: the next poll tries again
            logger.exception("looking for the messages of relays failed; the next poll retries it")
        listener.wait(POLL_SECONDS)
    relay.this_process.stop()
    listener.close()
    heartbeats.sign_off(heartbeats.RELAYS)


def run_once(stop: threading.Event) -> None:
    """Have the relays publish, and look again until nothing has come for wakeup.GAP_SECONDS: a
    worker sends no further wake-up within that time."""
    close_old_connections()
    relays = registry.of_kind(Relay)
    rest = time.monotonic() + wakeup.GAP_SECONDS
    while not stop.is_set() and time.monotonic() < rest:
        heartbeats.note(heartbeats.RELAYS)
        found = cursors.look() & relays.keys()
        ready = found - relay.this_process.unavailable(found)
        for name in ready:
            relay.this_process.ask(name, relays[name], linger=LINGER_SECONDS)
        if ready or relay.this_process.under_way():
            rest = time.monotonic() + wakeup.GAP_SECONDS
        stop.wait(LOOK_SECONDS)
