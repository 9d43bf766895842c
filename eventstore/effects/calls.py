"""Calls to the outside world: leased in one short transaction, made outside of any, answered in
another."""

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

# A quick provider's answers are waited for, so that they are recorded as one batch; those of a slow
# one, or of more calls than are made at once, are collected later, and the other subscriptions go
# on meanwhile.
PROMPT_SECONDS = 0.01
# Calls that wait for a free thread, for each one that has it: a batch is worth more than a short
# queue.
QUEUED = 15


class LeaseRanOut(Exception):
    """No attempt came back with an answer or an error within its lease."""


class NotMade(Exception):
    """When the call's turn came, its lease had run out, or its provider was given a rest. It counts
    as no attempt."""


class Call(NamedTuple):
    """A call under way; who comes back later than its lease is not heard."""

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
    """Record the answers that came, take in what is new, begin calls. Returns how many messages
    moved."""
    begun = _begin(name, effect, limit)
    calls = _under_way.get(name, ())
    if len(calls) <= effect.concurrency:
        wait([call.future for call in calls], PROMPT_SECONDS, ALL_COMPLETED)
    return begun + _record(name)


def under_way() -> bool:
    return any(_under_way.values())


def wait_for_any(seconds: float) -> None:
    """Rest until some call is answered, so that who drains the subscriptions does not spin
    meanwhile."""
    wait([call.future for calls in _under_way.values() for call in calls], seconds, FIRST_COMPLETED)


def answered(name: str) -> bool:
    return any(call.future.done() for call in _under_way.get(name, ()))


def forget() -> None:
    """Drop what this process remembers of its providers."""
    _circuit.cache_clear()


def _record(name: str) -> int:
    done, pending = _sorted_out(_under_way.get(name, []))
    if not done:
        return 0
    answers = [call for call in done if call.future.exception() is None]
    failures = [call for call in done if call.future.exception() is not None]
    with atomic():
        # Who takes in at the same time would see what is settled here, and let its own message wait
        # for it for ever.
        cursors.hold(name)
        ours = parked.settle(name, {call.message.position: call.token for call in answers})
        parked.postpone(name, [_put_off(call) for call in failures])
        given = [call.future.result() for call in answers if call.message.position in ours]
        log.write([], [answer for answer in given if answer is not None])
    _under_way[name] = pending
    return len(done)


def _sorted_out(calls: Sequence[Call]) -> tuple[list[Call], list[Call]]:
    done = {id(call) for call in calls if call.future.done()}
    return [call for call in calls if id(call) in done], [
        call for call in calls if id(call) not in done
    ]


def _begin(name: str, effect: Effect, limit: int) -> int:
    taken_at = (
        time.monotonic()
    )  # sooner than the database reckons, so that we never believe in a lease that is over
    with atomic():
        taken_in = _take_in(name, limit)
        begun, circuit = len(_under_way.get(name, ())), _circuit(name)
        free = circuit.allows(effect.concurrency * (1 + QUEUED) - begun, under_way=begun)
        due = _worth_a_try(name, parked.due(name, free)) if free > 0 else []
        if due:
            parked.lease(name, [each.position for each in due], leases.first(effect.lease))
            messages = {
                message.position: message
                for message in cursors.read_at(name, [each.position for each in due])
            }
        if circuit.is_open:
            parked.defer(name, circuit.wait())
    if due:
        held = [
            Lease(name, each.position, each.attempts + 1, taken_at=taken_at, longest=effect.lease)
            for each in due
        ]
        may_be_made = epochs.asks_first()
        calls = [_call(effect, messages[lease.position], lease, may_be_made) for lease in held]
        _under_way.setdefault(name, []).extend(calls)
        _renewal.begin()
    return taken_in + len(due)


def _take_in(name: str, limit: int) -> int:
    """Note every new message as owed and move the cursor past it; in order for each stream."""
    claimed = cursors.claim(name)
    if claimed is None or claimed.until == claimed.position:
        return 0
    messages = cursors.read(name, claimed, limit)
    waiting = (
        parked.held(name, {message.stream for message in messages}) if claimed.parked else set()
    )
    places = []
    for message in messages:
        places.append(
            ParkedMessage(
                message.position, message.stream, delay=None if message.stream in waiting else 0.0
            )
        )
        waiting.add(message.stream)
    parked.park(name, places)
    cursors.move(name, messages[-1].position if len(messages) == limit else claimed.until)
    return len(messages)


def _worth_a_try(name: str, due: Sequence[Due]) -> list[Due]:
    """All but those that were leased to the last attempt without an answer: they may have killed
    who called."""
    spent = [each for each in due if each.status == "leased" and each.attempts >= parked.ATTEMPTS]
    unanswered = LeaseRanOut("No attempt came back with an answer or an error within its lease.")
    parked.postpone(
        name,
        [
            parked.failed(each.position, unanswered, attempts=each.attempts, token=each.attempts)
            for each in spent
        ],
    )
    return [each for each in due if each not in spent]


def _call(effect: Effect, message: Message, lease: Lease, may_be_made: bool) -> Call:
    """may_be_made: whether the log may have lost that this call was made."""
    again = may_be_made or lease.token > 1
    return Call(
        message, lease, _threads(lease.name).submit(_perform, effect, message, lease, again)
    )


def _perform(effect: Effect, message: Message, lease: Lease, again: bool) -> OutgoingMessage | None:
    """The answer, ready to be stored, so that one that cannot be is this call's failure and nobody
    else's."""
    name = lease.name
    if not lease.is_held or _circuit(name).is_resting:
        raise NotMade(
            f"{message.position} had its turn too late, or while its provider is given a rest."
        )
    if isinstance(message.body, Exception):
        raise message.body
    if type(message.body) not in effect.handles:
        return None  # of an event whose type was unknown when it was taken in
    return _answer(name, message, _through(_circuit(name), effect, message, again))


def _through(circuit: Circuit, effect: Effect, message: Message, again: bool) -> Command:
    try:
        command = _ask(effect, message, again)
    except NO_ANSWER:
        circuit.failed(message.position)
        raise
    circuit.answered()
    return command


def _ask(effect: Effect, message: Message, again: bool) -> Command:
    """What went wrong before may have gone right over there, and a provider forgets its keys in
    time: ask first."""
    event, keys = message.body, effect.keys(message)
    if again and (find := effect.find.get(type(event))):
        found = next(filter(None, (find(event, key) for key in keys)), None)
        if found:
            return found
    return effect.perform[type(event)](event, keys[0])


def _answer(name: str, message: Message, command: Command) -> OutgoingMessage:
    metadata = Metadata(
        correlation_id=message.metadata.correlation_id,
        causation_id=message.id,
        actor=name,
        trace=message.metadata.trace,
    )
    return log.outgoing(command, metadata=metadata)


@cache
def _threads(name: str) -> ThreadPoolExecutor:
    effect: Any = registry.subscriptions()[name]
    return ThreadPoolExecutor(effect.concurrency, thread_name_prefix=name)


@cache
def _circuit(name: str) -> Circuit:
    effect: Any = registry.subscriptions()[name]
    return Circuit(name, trips=effect.trips, rest=effect.rest)


def _put_off(call: Call) -> ParkedMessage:
    error = call.future.exception()
    assert error is not None
    match error:
        case NotMade():
            return ParkedMessage(
                call.message.position,
                attempts=call.token - 1,
                token=call.token,
                delay=TRIAL_SECONDS,
            )
        case NotYet():
            logger.info(
                "%s at %s has no result yet: %s", call.message.type, call.message.position, error
            )
            # Never a dead letter; one attempt stands, so that it is asked by key and not made
            # again.
            return ParkedMessage(
                call.message.position,
                attempts=1,
                token=call.token,
                delay=error.again.total_seconds(),
                error=str(error),
            )
    logger.warning(
        "%s at %s failed for the %s. time: %r",
        call.message.type,
        call.message.position,
        call.token,
        error,
    )
    return parked.failed(call.message.position, error, attempts=call.token, token=call.token)
