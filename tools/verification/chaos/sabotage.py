"""Workers and consumers with a deliberate mistake, each of which the checker must find.

usage: python -m tools.verification.chaos.sabotage NAME -m celery …
       python -m tools.verification.chaos.sabotage NAME manage.py consume

The platform has no hook for this: functions are replaced in the process before its program
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
# Consumers store large batches, so only a few.
DEATHS_OF_CONSUMERS = 0.3


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


def cursor_before_acknowledgement() -> None:
    """Moves the cursor of a relay, then publishes: a worker that dies between the two, or a broker
    that does not answer, loses the batch."""
    from eventstore.messaging import relay_leases
    from eventstore.messaging.relay import HELD_ELSEWHERE_SECONDS, Pump
    from eventstore.messaging.transport import Sent

    def batch(self: Any) -> int | None:
        load = self._prepare()
        if load is None:
            return None
        lease = relay_leases.take(self.name, load.claim.position)
        self.holds = lease is not None
        if lease is None:
            self._rest(HELD_ELSEWHERE_SECONDS)
            return None
        self.token = lease.token
        moved: int = self._settle(load, Sent(frozenset(load.prepared)))
        if any(load.prepared.values()) and random.random() < DEATHS:
            os.kill(os.getpid(), signal.SIGKILL)
        sent = self._publish(load, lease)
        if sent.problem is not None:
            raise sent.problem
        return moved

    Pump._batch = batch


def cursor_before_rows() -> None:
    """Moves the cursor of a relay, then writes the rows for Debezium: a worker that dies between
    the two loses them."""
    from eventstore.messaging.cdc import outbox

    write = outbox.write

    def write_later(relay: str, messages: Sequence[Any]) -> None:
        def act() -> None:
            if messages and random.random() < DEATHS:
                os.kill(os.getpid(), signal.SIGKILL)
            with transaction.atomic():
                write(relay, messages)

        transaction.on_commit(act)

    outbox.write = write_later


def offset_before_effect() -> None:
    """Moves the offset of Kafka, and acknowledges to RabbitMQ, before the messages are stored: a
    consumer that dies between the two loses them."""
    from eventstore.messaging.consumers import intake
    from eventstore.messaging.consumers.rabbitmq import RabbitMQSource

    store = intake.store

    def offset_first(consumer: str, messages: Sequence[Any], ranges: Any = None) -> int:
        if ranges:
            store(consumer, [], ranges)
        if random.random() < DEATHS_OF_CONSUMERS:
            os.kill(os.getpid(), signal.SIGKILL)
        return store(consumer, messages, {})

    def acknowledge_first(self: Any) -> int:
        if not self.unacknowledged:
            return 0
        self.channel.basic_ack(self.unacknowledged[-1][0], multiple=True)
        messages = [message for _, message in self.unacknowledged]
        self.unacknowledged.clear()
        self.size = 0
        if random.random() < DEATHS_OF_CONSUMERS:
            os.kill(os.getpid(), signal.SIGKILL)
        return intake.store_from_queue(self.consumer, self.queue, messages)

    intake.store = offset_first
    RabbitMQSource._store = acknowledge_first


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
        cursor_before_acknowledgement,
        cursor_before_rows,
        offset_before_effect,
    )
}


def main(mistake: str, arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    MISTAKES[mistake]()
    if "-m" not in arguments:
        sys.argv = [*arguments]
        runpy.run_path(arguments[0], run_name="__main__")
        return
    module = arguments.index("-m") + 1
    sys.argv = [arguments[module], *arguments[module + 1 :]]
    runpy.run_module(arguments[module], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
