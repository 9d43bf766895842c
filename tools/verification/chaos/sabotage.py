"""Workers with a deliberate mistake, each of which the checker must see.

usage: python -m tools.verification.chaos.sabotage NAME -m celery …

The product knows nothing of this: functions are replaced in the worker's process before Celery
begins. One mistake more, synchronous_commit=off, is made in the database itself (run.py).
"""

import os
import random
import runpy
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import django
from django.db import transaction

# Who makes two commits of one dies between them now and then, in subscriptions whose holes and
# repeats show outside.
SUBSCRIPTIONS, DEATHS = ("orders.fulfilment", "inventory.stock_levels"), 0.1


def naive_cursor() -> None:
    """The reader goes as far as the sequence has counted, past appends that have not committed."""
    from eventstore.outbox import cursors

    cursors.CLAIM = cursors.CLAIM.replace(
        "eventstore_fence()", "(SELECT last_value FROM eventstore_position)"
    )


def effect_before_cursor() -> None:
    """The effect is committed, then the cursor: who dies between them does it all again."""
    from eventstore.delivery import step as delivery
    from eventstore.outbox import cursors

    def step(name: str, subscription: Any, limit: int, *, deliver: Callable[..., None]) -> int:
        with transaction.atomic():
            claimed = cursors.claim(name)
            if claimed is None:
                return 0
            messages = cursors.read(name, claimed, limit)
            deliver(name, subscription, messages, set())
        _die_now_and_then(name, messages)
        _move(name, claimed, messages, limit)
        return len(messages)

    delivery._step = step


def cursor_before_effect() -> None:
    """The cursor is committed, then the effect: who dies between them never does it."""
    from eventstore.delivery import step as delivery
    from eventstore.outbox import cursors

    def step(name: str, subscription: Any, limit: int, *, deliver: Callable[..., None]) -> int:
        with transaction.atomic():
            claimed = cursors.claim(name)
            if claimed is None:
                return 0
            messages = cursors.read(name, claimed, limit)
        _move(name, claimed, messages, limit)
        _die_now_and_then(name, messages)
        with transaction.atomic():
            deliver(name, subscription, messages, set())
        return len(messages)

    delivery._step = step


def refund_without_key() -> None:
    """Each try of a refund under a key of its own."""
    from payments.events import RefundRequested
    from payments.gateway import GATEWAY

    for table in (GATEWAY.perform, GATEWAY.find):
        once = table[RefundRequested]
        table[RefundRequested] = lambda event, key, once=once: once(event, str(uuid4()))  # type: ignore[index]


def charge_without_key() -> None:
    """Each try of a charge under a key of its own."""
    from payments.events import PaymentRequested
    from payments.gateway import GATEWAY

    for table in (GATEWAY.perform, GATEWAY.find):
        once = table[PaymentRequested]
        table[PaymentRequested] = lambda event, key, once=once: once(event, str(uuid4()))  # type: ignore[index]


def _die_now_and_then(name: str, messages: Sequence[Any]) -> None:
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
    django.setup()
    MISTAKES[mistake]()
    module = arguments.index("-m") + 1
    sys.argv = [arguments[module], *arguments[module + 1 :]]
    runpy.run_module(arguments[module], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
