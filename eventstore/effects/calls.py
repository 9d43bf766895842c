"""Calls to the outside world: leased in a short transaction, made outside of any transaction, their
answers recorded in another one."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any, NamedTuple

from eventstore import log, registry
from eventstore.log import OutgoingMessage, epochs
from eventstore.messages import Command, Message, Metadata
from eventstore.outbox import cursors, parked
from eventstore.outbox.parked import Due, ParkedMessage
from eventstore.postgres import atomic
from eventstore.subscriptions import Effect, NotYet

from . import leases
from .circuit_breaker import NO_ANSWER, TRIAL_SECONDS, Circuit
from .leases import Lease

logger = logging.getLogger(__name__)

# Answers of a fast provider are awaited, so that they are recorded as one batch. Answers of a slow
# one, or of more calls than run at once, are collected later; other subscriptions go on meanwhile.
PROMPT_SECONDS = 0.01
# Calls that may wait for each thread: a full batch is worth more than a short queue.
QUEUED = 15


class LeaseRanOut(Exception):
    """The lease of the last attempt expired without an answer or an error."""


class NotMade(Exception):
    """The call was not made: its lease had expired, or the circuit was open. It does not count as
    an attempt."""


class Call(NamedTuple):
    """A call in flight. An answer that comes after its lease has been taken over is ignored."""

    message: Message
    lease: Lease
    future: Future[OutgoingMessage | None]

    @property
    def token(self) -> int:
        return self.lease.token


_under_way: dict[str, list[Call]] = {}
_renewal = leases.Renewal(
    lambda: [call.lease for calls in tuple(_under_way.values()) for call in tuple(calls)]
)


def step(name: str, effect: Effect, limit: int) -> int:
    """Record answers, park new messages, start calls. Returns how many messages moved."""
    # Earlier than the database's own time, so that a lease never seems longer than it is.
    taken_at = time.monotonic()
    with atomic():
        taken_in = _take_in(name, limit)
        begun, circuit = len(_under_way.get(name, ())), _circuit(name)
        free = circuit.allows(effect.concurrency * (1 + QUEUED) - begun, under_way=begun)
        due = _worth_a_try(name, parked.due(name, free)) if free > 0 else []
        if due:
            positions = [each.position for each in due]
            parked.lease(name, positions, leases.first(effect.lease))
            messages = {each.position: each for each in cursors.read_at(name, positions)}
        if circuit.is_open:
            parked.defer(name, circuit.wait())
    if due:
        # Whether the log may have lost that a call was made.
        may_have_been_made = epochs.asks_first()
        new = []
        for each in due:
            message, token = messages[each.position], each.attempts + 1
            lease = Lease(name, each.position, token, taken_at=taken_at, longest=effect.lease)
            again = may_have_been_made or token > 1
            future = _threads(name).submit(_perform, effect, message, lease, again)
            new.append(Call(message, lease, future))
        _under_way.setdefault(name, []).extend(new)
        _renewal.begin()
    calls = _under_way.get(name, ())
    if len(calls) <= effect.concurrency:
        wait([call.future for call in calls], PROMPT_SECONDS, ALL_COMPLETED)
    return taken_in + len(due) + _record(name)


def under_way() -> bool:
    return any(_under_way.values())


def wait_for_any(seconds: float) -> None:
    """Wait until a call is answered, so that draining the subscriptions does not spin."""
    wait([call.future for calls in _under_way.values() for call in calls], seconds, FIRST_COMPLETED)


def answered(name: str) -> bool:
    return any(call.future.done() for call in _under_way.get(name, ()))


def forget() -> None:
    """Close every circuit of this process."""
    _circuit.cache_clear()


def _record(name: str) -> int:
    calls = _under_way.get(name, [])
    # Each future is checked once, because it may complete at any moment.
    done = {id(call) for call in calls if call.future.done()}
    if not done:
        return 0
    pending = [call for call in calls if id(call) not in done]
    answers, failures = list[Call](), list[Call]()
    for call in calls:
        if id(call) in done:
            (answers if call.future.exception() is None else failures).append(call)
    with atomic():
        # Without the lock, a concurrent _take_in would still see what is settled here, and park a
        # message that waits behind it for ever.
        cursors.hold(name)
        ours = parked.settle(name, {call.message.position: call.token for call in answers})
        parked.postpone(name, [_postponed(call) for call in failures])
        commands = [call.future.result() for call in answers if call.message.position in ours]
        log.write([], [command for command in commands if command is not None])
    _under_way[name] = pending
    return len(done)


def _take_in(name: str, limit: int) -> int:
    """Park every new message and move the cursor past it. Messages of a stream stay in order."""
    claimed = cursors.claim(name)
    if claimed is None or claimed.until == claimed.position:
        return 0
    messages = cursors.read(name, claimed, limit)
    streams = {message.stream for message in messages}
    waiting = parked.held(name, streams) if claimed.parked else set()
    places = []
    for message in messages:
        delay = None if message.stream in waiting else 0.0
        places.append(ParkedMessage(message.position, message.stream, delay=delay))
        waiting.add(message.stream)
    parked.park(name, places)
    cursors.move(name, messages[-1].position if len(messages) == limit else claimed.until)
    return len(messages)


def _worth_a_try(name: str, due: Sequence[Due]) -> list[Due]:
    """All but those whose last attempt never came back: they may have killed the worker."""
    spent = [each for each in due if each.status == "leased" and each.attempts >= parked.ATTEMPTS]
    error = LeaseRanOut("The lease of the last attempt expired without an answer or an error.")
    parked.postpone(
        name,
        [
            parked.failed(each.position, error, attempts=each.attempts, token=each.attempts)
            for each in spent
        ],
    )
    return [each for each in due if each not in spent]


def _perform(effect: Effect, message: Message, lease: Lease, again: bool) -> OutgoingMessage | None:
    """Make one call. Returns the answer, ready to be stored: an answer that cannot be encoded fails
    this call alone."""
    circuit = _circuit(lease.name)
    if not lease.is_held or circuit.is_resting:
        raise NotMade(
            f"The call for {message.position} was not made: its lease has expired, or the circuit"
            " is open."
        )
    if isinstance(message.body, Exception):
        raise message.body
    if type(message.body) not in effect.handles:
        return None  # its type was unknown when it was parked
    try:
        command = _ask(effect, message, again)
    except NO_ANSWER:
        circuit.failed(message.position)
        raise
    circuit.answered()
    metadata = Metadata(
        correlation_id=message.metadata.correlation_id,
        causation_id=message.id,
        actor=lease.name,
        trace=message.metadata.trace,
    )
    return log.outgoing(command, metadata=metadata)


def _ask(effect: Effect, message: Message, again: bool) -> Command:
    """A repeated call looks for the result first: an earlier attempt may have succeeded, and the
    provider may have forgotten its key since."""
    event, keys = message.body, effect.keys(message)
    if again and (find := effect.find.get(type(event))):
        found = next(filter(None, (find(event, key) for key in keys)), None)
        if found:
            return found
    return effect.perform[type(event)](event, keys[0])


@cache
def _threads(name: str) -> ThreadPoolExecutor:
    effect: Any = registry.subscriptions()[name]
    return ThreadPoolExecutor(effect.concurrency, thread_name_prefix=name)


@cache
def _circuit(name: str) -> Circuit:
    effect: Any = registry.subscriptions()[name]
    return Circuit(name, trips=effect.trips, rest=effect.rest)


def _postponed(call: Call) -> ParkedMessage:
    message, token, error = call.message, call.token, call.future.exception()
    position = message.position
    assert error is not None
    match error:
        case NotMade():
            return ParkedMessage(position, attempts=token - 1, token=token, delay=TRIAL_SECONDS)
        case NotYet():
            logger.info("%s at %s has no result yet: %s", message.type, position, error)
            # Never a dead letter. One attempt is counted, so that the next one looks for the result
            # by key.
            delay = error.again.total_seconds()
            return ParkedMessage(position, attempts=1, token=token, delay=delay, error=str(error))
    logger.warning("%s at %s failed, attempt %s: %r", message.type, position, token, error)
    return parked.failed(position, error, attempts=token, token=token)
