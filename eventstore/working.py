"""One turn of a worker: deliver until nothing is left, or until it is time to let the next task in."""

import time

from django.db import transaction

from . import delivery, effects, nudge, outbox, registry

TURN_SECONDS = 5.0
CALL_WAIT_SECONDS = 0.05


def work(*, seconds: float = TURN_SECONDS) -> int:
    """Deliver for at most about `seconds`; a turn that ends with work left nudges the next one."""
    until, delivered = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        if lanes := _lanes():
            delivered += sum(delivery.step(name) for name in lanes)
        elif effects.under_way():
            effects.wait_for_any(CALL_WAIT_SECONDS)
        elif not delivery.tell_deadlines():
            return delivered
    transaction.on_commit(nudge.send)
    return delivered


def _lanes() -> list[str]:
    with_work = set(outbox.work())
    return [name for name in registry.subscriptions() if name in with_work or effects.answered(name)]
