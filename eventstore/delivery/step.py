"""One step of a subscription: a batch of messages, whose effects and cursor commit together.

A handler that raises does not stop its subscription. The step is repeated with savepoints, and the
batch is halved until the message at fault is found. That message is parked and retried later, and
so are all messages that must stay in order behind it. A message that ends its workers without an
error is parked too; see poison.py.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, transaction

from eventstore import registry, sagas
from eventstore.log import WrongExpectedVersion
from eventstore.log.epochs import EpochOver
from eventstore.messages import Message
from eventstore.outbox import cursors, parked
from eventstore.outbox.cursors import Claim
from eventstore.outbox.parked import Due, ParkedMessage
from eventstore.postgres import atomic
from eventstore.schemas.registry.errors import (
    BodyMismatch,
    ForeignSchemaId,
    InvalidSchemaId,
    NotAvro,
    RegistryUnreachable,
    WrongMagicByte,
)
from eventstore.subscriptions import Subscription

from . import poison
from .kinds import kind_of

logger = logging.getLogger(__name__)

# Not the fault of a message: the whole step is rolled back and retried.
PASSING = (OperationalError, InterfaceError, WrongExpectedVersion)
# No retry helps. An operator can retry after the code has changed.
HOPELESS = (
    poison.PoisonMessage,
    WrongMagicByte,
    InvalidSchemaId,
    ForeignSchemaId,
    NotAvro,
    BodyMismatch,
)
# What waits for an unreachable registry is retried every half minute or so.
WAITING_ATTEMPTS = 6
# An OperationalError that is a message's fault: SQLSTATE class 54, a value is too large, for
# instance for an index.
PROGRAM_LIMIT_EXCEEDED = "54"


class Batch(NamedTuple):
    """What a step takes: parked messages that are due, and the next messages. until: where the
    cursor moves."""

    claimed: Claim
    due: Sequence[Due]
    messages: Sequence[Message]
    until: int

    def up_to_poison(self, markers: poison.DeliveryMarkers) -> "Batch":
        """Without the messages behind a poison message: if one of them ended this worker as well,
        its parking would be rolled back."""
        claimed, due, messages, _ = self
        if any(map(markers.is_poison, due)):
            poisonous = [each for each in due if markers.is_poison(each)]
            return Batch(claimed, poisonous, [], claimed.position)
        for index, message in enumerate(messages):
            if markers.is_poison(message):
                return Batch(claimed, [], messages[: index + 1], message.position)
        return self


def step(name: str, *, limit: int | None = None) -> int:
    """One batch of one subscription. Returns how many messages it moved; 0 when another worker
    holds the subscription."""
    subscription = registry.subscriptions()[name]
    kind = kind_of(subscription)
    limit = limit or kind.batch
    if kind.step:
        return kind.step(name, subscription, limit)
    try:
        return _step(DeliveryAtOnce(name, subscription), limit)
    except WrongExpectedVersion:
        if not kind.deliver_at_once:
            raise
        # Another writer was first: what was decided at once is sent instead, and decided again.
        return _step(Delivery(name, subscription), limit)
    except Exception as error:
        if _is_passing(error):
            raise
        # All of it was rolled back. Repeat it with a savepoint around each part, to find the
        # message at fault.
        return _step(IsolatingDelivery(name, subscription), limit)


def attempt(name: str, troubles: list[Exception]) -> int:
    """A step whose error is logged and added to the list, so that the other subscriptions get their
    turn."""
    try:
        return step(name)
    except (WrongExpectedVersion, EpochOver) as error:
        logger.info("%s: conflict, the step is retried: %s", name, error)
    except Exception as error:
        logger.exception("%s: delivering a batch failed", name)
        troubles.append(error)
    return 0


def tell_deadlines() -> int:
    with atomic():
        return sagas.tell_deadlines()


def concerns(subscription: Subscription, message: Message) -> bool:
    """Whether a parked message is for this subscription. Unknown for an event that cannot be
    decoded, so then True."""
    return (
        message.version == 0
        or isinstance(message.body, Exception)
        or type(message.body) in subscription.handles
    )


def _step(delivery: "Delivery", limit: int) -> int:
    with atomic():
        if (claimed := cursors.claim(delivery.name)) is None:
            return 0
        due = parked.due(delivery.name, limit) if claimed.parked else []
        # After the claim: whoever wants what is recorded from now on is asked again.
        skips = delivery.kind.skips is not None and delivery.kind.skips()
        messages = [] if skips else cursors.read(delivery.name, claimed, limit)
        until = messages[-1].position if len(messages) == limit else claimed.until
        batch = Batch(claimed, due, messages, until)
        if not poison.suspected(claimed, due, messages):
            return delivery.take(batch)
        with poison.marking(delivery.name) as markers:
            if markers.found is None:
                markers.begin(poison.BATCH)
                return delivery.take(batch)
            alone = MarkedDelivery(delivery.name, delivery.subscription, markers)
            return alone.take(batch.up_to_poison(markers))


class Delivery:
    """The ordinary delivery: no message is expected to fail, so it needs no savepoint.

    held: the order keys behind which messages wait, because a message with that key is parked.
    """

    def __init__(self, name: str, subscription: Subscription) -> None:
        self.name, self.subscription, self.kind = name, subscription, kind_of(subscription)
        self.held: set[str] = set()

    def take(self, batch: Batch) -> int:
        """Handle the batch and move the cursor. Returns the number of messages."""
        self._retry(batch.due)
        if batch.claimed.parked:
            keys = {key for message in batch.messages for key in self._keys(message)}
            self.held = parked.held(self.name, keys)
        self.deliver(batch.messages)
        if batch.until > batch.claimed.position:
            cursors.move(self.name, batch.until)
        return len(batch.due) + len(batch.messages)

    def deliver(self, messages: Sequence[Message]) -> None:
        if self.held:
            self.isolate(messages)
        elif messages:
            self.handle(messages)

    def begin(self, position: int) -> None:
        """Called before a message is delivered alone. Raises PoisonMessage."""

    def handle(self, messages: Sequence[Message]) -> None:
        """Raises what the handlers raise, and the error of a message that cannot be decoded."""
        _require_decoded(messages)
        assert self.kind.deliver is not None, "a kind with a step of its own is not delivered to"
        self.kind.deliver(self.name, self.subscription, messages)

    def isolate(self, messages: Sequence[Message]) -> None:
        """Park the messages that wait behind a held key, and handle the others. Halve them until
        the message at fault is alone, and park it."""
        waiting, free = list[ParkedMessage](), list[Message]()
        for message in messages:
            key = next((key for key in self._keys(message) if key in self.held), None)
            if key is None:
                free.append(message)
            else:
                waiting.append(ParkedMessage(message.position, key))
        parked.park(self.name, waiting)
        if not free:
            return
        try:
            with transaction.atomic():
                self.handle(free)
        except Exception as error:
            if _is_passing(error):
                raise
            if len(free) == 1:
                self.park(free[0], error)
                return
            half = len(free) // 2
            self.isolate(free[:half])
            self.isolate(free[half:])

    def park(self, message: Message, error: Exception, *, attempts: int = 0) -> None:
        """Further messages wait behind its first key only, because its settling wakes up those
        behind one key."""
        logger.error(
            "%s: parked %s of %s after an error",
            self.name,
            message.type,
            message.stream,
            exc_info=error,
        )
        key = self._keys(message)[0]
        attempts = attempts or _attempts(error, 1)
        parked.park(self.name, [parked.failed(message.position, error, attempts=attempts, key=key)])
        self.held.add(key)

    def _retry(self, due: Sequence[Due]) -> None:
        """Handle parked messages that are due, each alone."""
        positions = [each.position for each in due]
        messages = {each.position: each for each in cursors.read_at(self.name, positions)}
        done: dict[int, int] = {}
        for each in due:
            try:
                self.begin(each.position)
                message = messages[each.position]
                with transaction.atomic():
                    if concerns(self.subscription, message):
                        self.handle([message])
            except Exception as error:
                if _is_passing(error):
                    raise
                attempts = _attempts(error, each.attempts + 1)
                at, token = each.position, each.attempts
                failed = parked.failed(at, error, attempts=attempts, token=token)
                parked.postpone(self.name, [failed])
                text = "%s: retry of position %s failed, attempt %s: %r"
                logger.warning(text, self.name, at, attempts, error)
            else:
                done[each.position] = each.attempts
        parked.settle(self.name, done)

    def _keys(self, message: Message) -> tuple[str, ...]:
        """The keys that a message must stay in order with: the row or process that it goes into,
        and its stream."""
        try:
            if self.kind.order_key:
                return self.kind.order_key(self.subscription, message), message.stream
        except Exception:
            # The message cannot be decoded, or the key function fails: only its stream is known.
            logger.debug("no key for %s", message.position, exc_info=True)
        return (message.stream,)


class DeliveryAtOnce(Delivery):
    """The first try: by the shorter way, if the kind has one and no message is held."""

    def deliver(self, messages: Sequence[Message]) -> None:
        if self.kind.deliver_at_once and messages and not self.held:
            _require_decoded(messages)
            self.kind.deliver_at_once(self.name, self.subscription, messages)
        else:
            super().deliver(messages)


class IsolatingDelivery(Delivery):
    """After an error: with savepoints, so that only the messages at fault are parked."""

    def deliver(self, messages: Sequence[Message]) -> None:
        self.isolate(messages)


class MarkedDelivery(Delivery):
    """After the death of a worker: each message alone, with a marker that survives this worker."""

    def __init__(
        self, name: str, subscription: Subscription, markers: poison.DeliveryMarkers
    ) -> None:
        super().__init__(name, subscription)
        self.markers = markers

    def begin(self, position: int) -> None:
        self.markers.begin(position)

    def deliver(self, messages: Sequence[Message]) -> None:
        for message in messages:
            try:
                self.begin(message.position)
            except poison.PoisonMessage as error:
                self.park(message, error, attempts=parked.ATTEMPTS)
            else:
                self.isolate([message])


def _require_decoded(messages: Sequence[Message]) -> None:
    for message in messages:
        if isinstance(message.body, Exception):
            raise message.body


def _attempts(error: Exception, attempts: int) -> int:
    """How many attempts count: bytes that can never be read are a dead letter at once, and what
    waits for a registry never becomes one."""
    if isinstance(error, HOPELESS):
        return parked.ATTEMPTS
    if isinstance(error, RegistryUnreachable):
        return min(attempts, WAITING_ATTEMPTS)
    return attempts


def _is_passing(error: Exception) -> bool:
    state = str(getattr(error.__cause__, "sqlstate", None))
    return isinstance(error, PASSING) and not state.startswith(PROGRAM_LIMIT_EXCEEDED)
