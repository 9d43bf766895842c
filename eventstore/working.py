"""One turn of a worker: deliver until nothing is left, or until it is time to let the next task in."""

import time
from collections.abc import Iterable

from . import delivery, effects, nudge, outbox, registry, store
from .subscriptions import Projection, Publication

TURN_SECONDS = 5.0
CALL_WAIT_SECONDS = 0.05
# How often the processes may answer one another before the read models have their turn.
CHAIN = 20


def work(*, seconds: float = TURN_SECONDS) -> int:
    """Deliver for at most about `seconds`; a turn that ends with work left nudges the next one."""
    until, delivered = time.monotonic() + seconds, 0
    with nudge.quiet():
        while time.monotonic() < until:
            if lanes := outbox.work() | _answered():
                delivered += _round(lanes)
            elif effects.under_way():
                effects.wait_for_any(CALL_WAIT_SECONDS)
            elif not delivery.tell_deadlines():
                return delivered
    nudge.send()
    return delivered


def _round(lanes: set[str]) -> int:
    """Let the processes answer one another as long as they have something to say; the read models take it all at once.

    What a step writes is known here, so nobody is asked for it: the database is asked again only after the round.
    """
    delivered, readers = 0, {name for name in lanes if _is_reader(name)}
    processes = lanes - readers
    for _ in range(CHAIN):
        if not processes:
            break
        store.take_announced()
        delivered += _steps(processes)
        told = registry.listeners(store.take_announced()) | _answered()
        readers |= {name for name in told if _is_reader(name)}
        processes = told - readers
    return delivered + _steps(readers)


def _steps(lanes: Iterable[str]) -> int:
    return sum(delivery.step(name) for name in registry.subscriptions() if name in lanes)


def _is_reader(name: str) -> bool:
    return isinstance(registry.subscriptions()[name], Projection | Publication)


def _answered() -> set[str]:
    return {name for name in registry.subscriptions() if effects.answered(name)}
