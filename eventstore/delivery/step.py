"""Messages out: a subscription takes a batch, its effects and its moved cursor commit together.

A handler that raises does not stop its subscription. The batch is halved until the culprit is
found; that message, and from then on everything that must stay in order behind it, is parked beside
the subscription and tried again later. So is one that ends its workers without raising anything;
see deaths.py.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, transaction

from eventstore import projections, registry, sagas
from eventstore.commands import decide
from eventstore.effects import calls
from eventstore.log import WrongExpectedVersion
from eventstore.log.epochs import EpochOver
from eventstore.messages import Message
from eventstore.messaging import publisher, relay
from eventstore.outbox import cursors, parked
from eventstore.outbox.cursors import Claim
from eventstore.outbox.parked import Due, ParkedMessage
from eventstore.postgres import atomic
from eventstore.subscriptions import (
    Commands,
    Effect,
    Projection,
    Publication,
    Relay,
    Saga,
    Subscription,
)

from . import poison as deaths

logger = logging.getLogger(__name__)

BATCH = 500
# What comes to one row is folded there and written once, so the more is read at once the fewer rows
# are written.
READERS_BATCH = 2000

Deliver = Callable[[str, Subscription, Sequence[Message], set[str]], None]
Begin = Callable[[int], None]


class Load(NamedTuple):
    """What a step takes: parked messages that are due, and the next ones. until: where the cursor
    stands then."""

    claimed: Claim
    due: Sequence[Due]
    messages: Sequence[Message]
    until: int


# Not the fault of any message: the whole step is rolled back and taken again.
PASSING = (OperationalError, InterfaceError, WrongExpectedVersion)
# But for this class of OperationalError: what a message holds is too large, for an index above all.
PROGRAM_LIMIT_EXCEEDED = "54"


def step(name: str, *, limit: int | None = None) -> int:
    """One batch of one subscription. Returns how many messages it moved; 0 when another worker has
    the subscription."""
    subscription = registry.subscriptions()[name]
    limit = limit or (READERS_BATCH if isinstance(subscription, Projection) else BATCH)
    if isinstance(subscription, Effect):
        return calls.step(name, subscription, limit)
    if isinstance(subscription, Relay):
        return relay.step(name, subscription)
    try:
        return _step(name, subscription, limit, deliver=_deliver_trusting)
    except Exception as error:
        if _passes(error):
            raise
        # Nothing of it is kept. Once more, with a savepoint around every part, to find whose fault
        # it was.
        return _step(name, subscription, limit, deliver=_deliver)


def attempt(name: str, troubles: list[Exception]) -> int:
    """A step that keeps its trouble to itself: no subscription, whatever is wrong with it, takes
    the others' turn from them."""
    try:
        return step(name)
    except (WrongExpectedVersion, EpochOver) as error:
        logger.info("%s begins again: %s", name, error)
    except Exception as error:
        logger.exception("%s could not take its step", name)
        troubles.append(error)
    return 0


def tell_deadlines() -> int:
    with atomic():
        return sagas.tell_deadlines()


def concerns(subscription: Subscription, message: Message) -> bool:
    """Whether a parked message is for this subscription; of an event whose type was unknown, that
    could not be said."""
    return (
        message.version == 0
        or isinstance(message.body, Exception)
        or type(message.body) in subscription.handles
    )


def _step(name: str, subscription: Subscription, limit: int, *, deliver: Deliver) -> int:
    with atomic():
        claimed = cursors.claim(name)
        if claimed is None:
            return 0
        due = parked.due(name, limit) if claimed.parked else []
        messages = cursors.read(name, claimed, limit)
        load = Load(
            claimed,
            due,
            messages,
            messages[-1].position if len(messages) == limit else claimed.until,
        )
        if not deaths.suspected(claimed, due, messages):
            return _take(name, subscription, load, deliver)
        with deaths.marking(name) as notes:
            if notes.found is None:
                notes.begin(deaths.BATCH)
                return _take(name, subscription, load, deliver)
            return _take(
                name,
                subscription,
                _safe(load, notes),
                partial(_deliver_alone, notes.begin),
                notes.begin,
            )


def _take(
    name: str,
    subscription: Subscription,
    load: Load,
    deliver: Deliver,
    begin: Begin = lambda _: None,
) -> int:
    claimed, due, messages, until = load
    _retry(name, subscription, due, begin)
    deliver(
        name,
        subscription,
        messages,
        _held(name, subscription, messages) if claimed.parked else set(),
    )
    if until > claimed.position:
        cursors.move(name, until)
    return len(due) + len(messages)


def _safe(load: Load, notes: deaths.DeliveryMarkers) -> Load:
    """Nothing comes behind a message that is to be parked as deadly: one more death would take the
    parking back."""
    claimed, due, messages, until = load
    if any(map(notes.is_poison, due)):
        return Load(claimed, [each for each in due if notes.is_poison(each)], [], claimed.position)
    for index, message in enumerate(messages):
        if notes.is_poison(message):
            return Load(claimed, [], messages[: index + 1], message.position)
    return load


def _passes(error: Exception) -> bool:
    state = str(getattr(error.__cause__, "sqlstate", None))
    return isinstance(error, PASSING) and not state.startswith(PROGRAM_LIMIT_EXCEEDED)


def _held(name: str, subscription: Subscription, messages: Sequence[Message]) -> set[str]:
    return parked.held(
        name, {key for message in messages for key in _orders(subscription, message)}
    )


def _deliver_trusting(
    name: str, subscription: Subscription, messages: Sequence[Message], held: set[str]
) -> None:
    """The ordinary course: nothing is parked and nothing fails, so no savepoint is paid for."""
    if held:
        _deliver(name, subscription, messages, held)
    elif messages:
        _handle(name, subscription, messages)


def _deliver_alone(
    begin: Begin, name: str, subscription: Subscription, messages: Sequence[Message], held: set[str]
) -> None:
    for message in messages:
        try:
            begin(message.position)
        except deaths.PoisonMessage as error:
            held.add(_park(name, subscription, message, error, attempts=parked.ATTEMPTS))
        else:
            _deliver(name, subscription, [message], held)


def _deliver(
    name: str, subscription: Subscription, messages: Sequence[Message], held: set[str]
) -> None:
    """Deliver what may be delivered; `held` grows by the keys of what had to be parked."""
    free = [message for message in messages if held.isdisjoint(_orders(subscription, message))]
    behind = [
        message for message in messages if not held.isdisjoint(_orders(subscription, message))
    ]
    parked.park(
        name,
        [ParkedMessage(message.position, _key(subscription, message, held)) for message in behind],
    )
    if not free:
        return
    try:
        with transaction.atomic():
            _handle(name, subscription, free)
    except Exception as error:
        if _passes(error):
            raise
        if len(free) > 1:
            half = len(free) // 2
            _deliver(name, subscription, free[:half], held)
            _deliver(name, subscription, free[half:], held)
            return
        held.add(_park(name, subscription, free[0], error))


def _handle(name: str, subscription: Subscription, messages: Sequence[Message]) -> None:
    for message in messages:
        if isinstance(message.body, Exception):
            raise message.body
    match subscription:
        case Projection():
            projections.project(subscription, messages)
        case Saga():
            sagas.react(name, subscription, messages)
        case Publication():
            publisher.publish(subscription, messages)
        case Commands():
            decide.decide(messages)


def _retry(name: str, subscription: Subscription, due: Sequence[Due], begin: Begin) -> None:
    messages = {
        message.position: message
        for message in cursors.read_at(name, [each.position for each in due])
    }
    done: dict[int, int] = {}
    for each in due:
        try:
            begin(each.position)
            with transaction.atomic():
                if concerns(subscription, messages[each.position]):
                    _handle(name, subscription, [messages[each.position]])
        except Exception as error:
            if _passes(error):
                raise
            attempts = (
                parked.ATTEMPTS if isinstance(error, deaths.PoisonMessage) else each.attempts + 1
            )
            place = parked.failed(each.position, error, attempts=attempts, token=each.attempts)
            parked.postpone(name, [place])
            logger.warning(
                "%s cannot take %s, attempt %s: %r", name, each.position, attempts, error
            )
        else:
            done[each.position] = each.attempts
    parked.settle(name, done)


def _park(
    name: str, subscription: Subscription, message: Message, error: Exception, *, attempts: int = 1
) -> str:
    """Returns the key behind which others must wait now; they are woken by it, so they must wait
    for no other."""
    logger.exception(
        "%s cannot take %s of %s; it is parked", name, message.type, message.stream, exc_info=error
    )
    key = _key(subscription, message, set())
    parked.park(name, [parked.failed(message.position, error, attempts=attempts, key=key)])
    return key


def _orders(subscription: Subscription, message: Message) -> tuple[str, ...]:
    """What a message must stay in order with: its stream, and the row or process that it goes
    into."""
    try:
        if isinstance(subscription, Projection):
            return subscription.key(message.body), message.stream
        if isinstance(subscription, Saga):
            return sagas.key_of(subscription, message), message.stream
    except (
        Exception
    ):  # an unreadable message, or a key function at fault: its stream is all that is known of it
        logger.debug("no key for %s", message.position, exc_info=True)
    return (message.stream,)


def _key(subscription: Subscription, message: Message, held: set[str]) -> str:
    orders = _orders(subscription, message)
    return next((key for key in orders if key in held), orders[0])
