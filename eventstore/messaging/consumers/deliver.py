"""Deliver stored messages of a broker to the handlers of a consumer."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from django.db import transaction

from eventstore import log, results
from eventstore.messages import Message, Metadata
from eventstore.outbox import wakeup
from eventstore.subscriptions import Consumer

from . import bus, incoming


def deliver(name: str, consumer: Consumer, messages: Sequence[Message]) -> None:
    """Call the handlers of the wiring, then those that have subscribed in this process, and enqueue
    the commands that follow. Raises what they raise, and incoming.Unreadable."""
    outgoing = []
    for message in messages:
        type_ = incoming.type_of(message.body)
        handlers = [each for like, each in consumer.handle.items() if fnmatchcase(type_, like)]
        handlers += bus.subscribers_of(name).handlers_of(type_)
        if not handlers:
            continue
        envelope = incoming.envelope(message, consumer.contract)
        cause, trace = envelope.id, envelope.trace
        metadata = Metadata(envelope.correlation_id, cause, f"consumer:{name}", trace)
        for handler in handlers:
            commands = results.commands(handler, handler(envelope))
            outgoing += [log.outgoing(each, metadata=metadata) for each in commands]
    if outgoing:
        log.write([], outgoing)
        transaction.on_commit(wakeup.wake_workers)
