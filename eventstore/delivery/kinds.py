"""The kinds of subscription, and how each is delivered to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from eventstore import projections, sagas
from eventstore.commands import decide
from eventstore.effects import calls
from eventstore.messages import Message
from eventstore.messaging import publisher
from eventstore.messaging.consumers.deliver import deliver
from eventstore.subscriptions import (
    Commands,
    Consumer,
    Effect,
    Projection,
    Publication,
    Relay,
    Saga,
    Subscription,
    Webhooks,
)
from eventstore.webhooks import enqueue

from . import relays

BATCH = 500
# A read model folds the messages for one row in memory and writes the row once, so larger batches
# write fewer rows.
READERS_BATCH = 2000


class Kind(NamedTuple):
    """deliver: (name, subscription, messages) -> None; it writes in the transaction that moves the
    cursor. deliver_at_once: the same, and takes a shorter way that an error may rule out.

    step: (name, subscription, limit) -> number of messages, in place of deliver, for a kind that
    has transactions of its own because it waits for others. order_key: (subscription, message) ->
    the
    key besides its stream that a message must stay in order with. is_reader: it sends no commands,
    so it may wait until the processes have answered one another. skips: whether the cursor may move
    without a message being read.
    """

    deliver: Callable[[str, Any, Sequence[Message]], None] | None = None
    deliver_at_once: Callable[[str, Any, Sequence[Message]], None] | None = None
    step: Callable[[str, Any, int], int] | None = None
    order_key: Callable[[Any, Message], str] | None = None
    batch: int = BATCH
    is_reader: bool = False
    skips: Callable[[], bool] | None = None


ANSWERS = calls.Send(at_once=decide.decide_or_send, by_outbox=decide.send)
KINDS: Mapping[type[Subscription], Kind] = {
    Projection: Kind(
        deliver=lambda name, projection, messages: projections.project(projection, messages),
        order_key=lambda projection, message: projection.key(message.body),
        batch=READERS_BATCH,
        is_reader=True,
    ),
    Saga: Kind(
        deliver=lambda name, saga, messages: decide.send(sagas.react(name, saga, messages)),
        deliver_at_once=lambda name, saga, messages: decide.decide_or_send(
            sagas.react(name, saga, messages)
        ),
        order_key=lambda saga, message: sagas.key_of(saga, message),
    ),
    Effect: Kind(
        step=lambda name, effect, limit: calls.this_process.step(name, effect, limit, ANSWERS)
    ),
    Publication: Kind(
        deliver=lambda name, publication, messages: publisher.publish(publication, messages),
        is_reader=True,
    ),
    Consumer: Kind(deliver=lambda name, consumer, messages: deliver(name, consumer, messages)),
    Relay: Kind(step=lambda name, each, limit: relays.step(name, each), is_reader=True),
    Webhooks: Kind(
        deliver=lambda name, webhooks, messages: enqueue.deliver(webhooks, messages),
        is_reader=True,
        skips=enqueue.has_nothing_to_do,
    ),
    Commands: Kind(deliver=lambda name, commands, messages: decide.decide(messages)),
}


def kind_of(subscription: Subscription) -> Kind:
    return KINDS[type(subscription)]
