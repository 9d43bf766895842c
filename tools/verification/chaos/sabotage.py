"""Workers with a deliberate mistake, each of which the checker must find.

usage: python -m tools.verification.chaos.sabotage NAME -m celery …

The platform has no hook for this: functions are replaced in the worker's process before Celery
starts. One more mistake, synchronous_commit=off, is made in the database itself (controls.py).
"""

import os
import random
import runpy
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import django
from django.db import transaction

# Workers that split one commit into two die between them with this probability, in subscriptions
# where a gap or a repetition is visible from outside.
SUBSCRIPTIONS, DEATHS = ("orders.fulfilment", "inventory.stock_levels"), 0.1


def naive_cursor() -> None:
    """Reads up to the last value of the sequence, past appends that have not committed."""
    from eventstore.outbox import cursors

    fence = "eventstore_fence()"
    assert fence in cursors.CLAIM
    cursors.CLAIM = cursors.CLAIM.replace(fence, "(SELECT last_value FROM eventstore_position)")


def effect_before_cursor() -> None:
    """Commits the effect, then the cursor: a worker that dies between the two repeats the
    effect."""
    from eventstore.delivery import step as module
    from eventstore.outbox import cursors

    def step(delivery: Any, limit: int) -> int:
        with transaction.atomic():
            claimed = cursors.claim(delivery.name)
            if claimed is None:
                return 0
            messages = cursors.read(delivery.name, claimed, limit)
            delivery.deliver(messages)
        _die_sometimes(delivery.name, messages)
        _move(delivery.name, claimed, messages, limit)
        return len(messages)

    module._step = step


def cursor_before_effect() -> None:
    """Commits the cursor, then the effect: a worker that dies between the two skips the effect."""
    from eventstore.delivery import step as module
    from eventstore.outbox import cursors

    def step(delivery: Any, limit: int) -> int:
        with transaction.atomic():
            claimed = cursors.claim(delivery.name)
            if claimed is None:
                return 0
            messages = cursors.read(delivery.name, claimed, limit)
        _move(delivery.name, claimed, messages, limit)
        _die_sometimes(delivery.name, messages)
        with transaction.atomic():
            delivery.deliver(messages)
        return len(messages)

    module._step = step


def refund_without_key() -> None:
    """A new idempotency key for each try of a refund."""
    from payments.events import RefundRequested
    from payments.gateway import GATEWAY

    for table in (GATEWAY.perform, GATEWAY.find):
        once = table[RefundRequested]
        table[RefundRequested] = lambda event, key, once=once: once(event, str(uuid4()))  # type: ignore[index]


def charge_without_key() -> None:
    """A new idempotency key for each try of a charge."""
    from payments.events import PaymentRequested
    from payments.gateway import GATEWAY

    for table in (GATEWAY.perform, GATEWAY.find):
        once = table[PaymentRequested]
        table[PaymentRequested] = lambda event, key, once=once: once(event, str(uuid4()))  # type: ignore[index]


def _die_sometimes(name: str, messages: Sequence[Any]) -> None:
    if messages and name in SUBSCRIPTIONS and random.random() < DEATHS:
        os.kill(os.getpid(), signal.SIGKILL)


def _move(name: str, claimed: Any, messages: Sequence[Any], limit: int) -> None:
    from eventstore.outbox import cursors

    if messages or claimed.until > claimed.position:
        with transaction.atomic():
            cursors.move(name, messages[-1].position if len(messages) == limit else claimed.until)


MISTAKES = {
    each.__name__: each
    for each in (
        naive_cursor,
        effect_before_cursor,
        cursor_before_effect,
        refund_without_key,
        charge_without_key,
    )
}


def main(mistake: str, arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    MISTAKES[mistake]()
    module = arguments.index("-m") + 1
    sys.argv = [arguments[module], *arguments[module + 1 :]]
    runpy.run_module(arguments[module], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
