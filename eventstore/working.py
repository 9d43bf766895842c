"""One turn of a worker: deliver until nothing is left, or until it is time to let the next task in."""

import threading
import time
from collections.abc import Iterable
from functools import cache

from django.db import close_old_connections

from . import (
    answers,
    delivery,
    effects,
    heartbeats,
    inbox,
    nudge,
    outbox,
    rebuilding,
    registry,
    samples,
    settings,
    states,
    store,
    watching,
)
from .subscriptions import Projection, Publication

TURN_SECONDS = 5.0
CALL_WAIT_SECONDS = 0.05
# How often the processes may answer one another before the read models have their turn.
CHAIN = 20
CLEARED_AT_ONCE = 100_000

_turn = threading.Lock()
_heard = time.monotonic()


def take_turn() -> int:
    """As work. One turn at a time in each process: the calls that it has under way are kept in one table."""
    with _turn:
        try:
            return work()
        finally:
            hear()


def hear() -> None:
    """Somebody has asked this process to work."""
    global _heard
    _heard = time.monotonic()


def silent_seconds() -> float:
    return time.monotonic() - _heard


def work(*, seconds: float = TURN_SECONDS) -> int:
    """Deliver for at most about `seconds`; a turn that ends with work left nudges the next one."""
    until, delivered = time.monotonic() + seconds, 0
    # Celery keeps a connection over many tasks; one that broke is made anew here.
    close_old_connections()
    _enlist_once()
    heartbeats.note(heartbeats.WORKER)
    with nudge.quiet():
        while time.monotonic() < until:
            if lanes := outbox.work() | _answered():
                delivered += _round(lanes, until)
            elif effects.under_way():
                effects.wait_for_any(CALL_WAIT_SECONDS)
            elif not delivery.tell_deadlines():
                return delivered
        # Who is never idle tells them all the same.
        delivery.tell_deadlines()
    nudge.send()
    return delivered


def housekeep() -> None:
    """What is to be done every few seconds, whether or not there is anything to deliver."""
    states.take_snapshots()
    watching.warn()
    heartbeats.note(heartbeats.BEAT)
    heartbeats.forget()
    samples.take()
    outbox.clear(retention=settings.outbox_retention(), limit=CLEARED_AT_ONCE)
    answers.forget(older_than=settings.answers_kept())
    inbox.forget(older_than=settings.inbox_kept())
    rebuilding.work(seconds=TURN_SECONDS)


@cache
def _enlist_once() -> None:
    """A lane that came with new code, and no migration, has its cursor from the first worker that knows it."""
    outbox.enlist()


def _round(lanes: set[str], until: float) -> int:
    """Let the processes answer one another as long as they have something to say; the read models take it all at once.

    What a step writes is known here, so nobody is asked for it: the database is asked again only after the round.
    """
    delivered, readers = 0, {name for name in lanes if _is_reader(name)}
    processes, troubles = lanes - readers, list[Exception]()
    for _ in range(CHAIN):
        if not processes or time.monotonic() > until:
            break
        store.take_announced()
        delivered += _steps(processes, troubles)
        told = registry.listeners(store.take_announced()) | _answered()
        readers |= {name for name in told if _is_reader(name)}
        processes = told - readers
    delivered += _steps(readers, troubles)
    if troubles:
        raise troubles[0]
    return delivered


def _steps(lanes: Iterable[str], troubles: list[Exception]) -> int:
    return sum(delivery.attempt(name, troubles) for name in registry.subscriptions() if name in lanes)


def _is_reader(name: str) -> bool:
    return isinstance(registry.subscriptions()[name], Projection | Publication)


def _answered() -> set[str]:
    return {name for name in registry.subscriptions() if effects.answered(name)}
