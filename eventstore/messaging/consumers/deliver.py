"""Deliver stored messages of a broker to the handlers of a consumer."""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from django.db import transaction

from eventstore import log
from eventstore.messages import Message, Metadata
from eventstore.outbox import wakeup
from eventstore.subscriptions import Consumer

from . import bus, incoming


def deliver(name: str, consumer: Consumer, messages: Sequence[Message]) -> None:
    """Call the handlers, and enqueue the commands that follow. Raises what they raise, and
    codec.Undecodable."""
    outgoing = []
    for message in messages:
        handlers = list(_handlers(name, consumer, incoming.type_of(message.body)))
        if not handlers:
            continue
        envelope = incoming.envelope(message, consumer.contract)
        actor, trace = f"consumer:{name}", envelope.trace
        metadata = Metadata(envelope.correlation_id, envelope.id, actor, trace)
        for handler in handlers:
            outgoing += [log.outgoing(each, metadata=metadata) for each in handler(envelope) or ()]
    if outgoing:
        log.write([], outgoing)
        transaction.on_commit(wakeup.wake_workers)


def _handlers(name: str, consumer: Consumer, type_: str) -> Iterator[Callable[[Any], Any]]:
    """Those of the wiring, then those that have subscribed in this process."""
    for pattern, handler in consumer.handle.items():
        if fnmatchcase(type_, pattern):
            yield handler
    yield from bus.subscribers_of(name).handlers_of(type_)
