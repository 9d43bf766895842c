"""Calls to the outside world: leased in a short transaction, made outside of any transaction, their
answers recorded in another one."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import NamedTuple

from django.db import InterfaceError, OperationalError

from eventstore import log, results
from eventstore.log import epochs
from eventstore.messages import Command, Message, Metadata, replace
from eventstore.outbox import cursors, parked
from eventstore.outbox.parked import ParkedMessage
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


# A message, and the token of its lease.
Leased = tuple[Message, int]
# A command that a provider's answer became, and who sends it.
Answer = tuple[Command, Metadata]


class Send(NamedTuple):
    """How answers reach their contexts, in the transaction that records them. at_once: may raise,
    and is rolled back; then by_outbox."""

    at_once: Callable[[Sequence[Answer]], None]
    by_outbox: Callable[[Sequence[Answer]], None]


class LeaseRanOut(Exception):
    """The lease of the last attempt expired without an answer or an error."""


class NotMade(Exception):
    """The call was not made: its lease had expired, or the circuit was open. It does not count as
    an attempt."""


class Call:
    """One call, made in a thread. again: an earlier attempt may have succeeded. future: of the
    answer; one that comes after the lease has been taken over is ignored."""

    def __init__(self, caller: "Caller", message: Message, lease: Lease, *, again: bool) -> None:
        self.effect, self.circuit = caller.effect, caller.circuit
        self.message, self.lease, self.again = message, lease, again
        self.future = caller.threads.submit(self.make)

    def make(self) -> Answer | None:
        """Returns the answer, ready to be stored: an answer that cannot be encoded fails this call
        alone."""
        message, lease = self.message, self.lease
        if not lease.is_held or self.circuit.is_resting:
            raise NotMade(
                f"The call for {message.position} was not made: its lease has expired, or the"
                " circuit is open."
            )
        if isinstance(message.body, Exception):
            raise message.body
        if type(message.body) not in self.effect.handles:
            return None  # its type was unknown when it was parked
        try:
            command = self.ask()
        except NO_ANSWER:
            self.circuit.failed(message.position)
            raise
        self.circuit.answered()
        correlation, trace = message.metadata.correlation_id, message.metadata.trace
        metadata = Metadata(correlation, message.id, actor=lease.name, trace=trace)
        log.outgoing(command, metadata=metadata)  # raises what cannot be stored
        return command, metadata

    def ask(self) -> Command:
        """A repeated call looks for the result first: the provider may have forgotten its key."""
        event, keys = self.message.body, self.effect.keys(self.message)
        if self.again and (find := self.effect.find.get(type(event))):
            for key in keys:
                if found := results.command_or_none(find, find(event, key)):
                    return found
        perform = self.effect.perform[type(event)]
        return results.command(perform, perform(event, keys[0]))

    def postponed(self) -> ParkedMessage:
        """How the message waits after the error of the call."""
        position, type_, token = self.message.position, self.message.type, self.lease.token
        error = self.future.exception()
        assert error is not None
        match error:
            case NotMade():
                return ParkedMessage(position, attempts=token - 1, token=token, delay=TRIAL_SECONDS)
            case NotYet():
                logger.info("%s at %s has no result yet: %s", type_, position, error)
                # Never a dead letter. One attempt is counted, so that the next one looks for the
                # result by key.
                text, delay = str(error), error.again.total_seconds()
                return ParkedMessage(position, attempts=1, token=token, delay=delay, error=text)
        logger.warning("%s at %s failed, attempt %s: %r", type_, position, token, error)
        return parked.failed(position, error, attempts=token, token=token)


class Caller:
    """Makes the calls of one effect, in threads of its own. calls: those whose answers are not
    recorded."""

    def __init__(self, name: str, effect: Effect) -> None:
        self.name, self.effect = name, effect
        self.circuit = Circuit(name, trips=effect.trips, rest=effect.rest)
        self.threads = ThreadPoolExecutor(effect.concurrency, thread_name_prefix=name)
        self.calls: list[Call] = []

    def take_in(self, limit: int) -> tuple[int, list[Leased]]:
        """Park every new message, in the order of its stream, and move the cursor past it. Where
        nothing is parked that could be due before them, the first of each stream are leased as they
        are parked. Returns the number of messages, and those that are leased."""
        if (claimed := cursors.claim(self.name)) is None or claimed.until == claimed.position:
            return 0, []
        messages = cursors.read(self.name, claimed, limit)
        streams = {message.stream for message in messages}
        waiting = parked.held(self.name, streams) if claimed.parked else set()
        free = 0 if claimed.parked or self.circuit.is_open else self._free()
        lease_seconds = leases.first(self.effect.lease).total_seconds()
        places, leased = list[ParkedMessage](), list[Leased]()
        for message in messages:
            place = ParkedMessage(message.position, message.stream)
            if message.stream in waiting:
                pass  # for the one before it
            elif len(leased) < free:
                place = replace(place, status="leased", attempts=1, delay=lease_seconds)
                leased.append((message, 1))
            else:
                place = replace(place, delay=0.0)
            places.append(place)
            waiting.add(message.stream)
        parked.park(self.name, places)
        until = messages[-1].position if len(messages) == limit else claimed.until
        cursors.move(self.name, until)
        return len(messages), leased

    def _free(self) -> int:
        """How many calls may begin."""
        begun = len(self.calls)
        return self.circuit.allows(self.effect.concurrency * (1 + QUEUED) - begun, under_way=begun)

    def lease(self) -> list[Leased]:
        """Lease the parked calls that may begin."""
        name, circuit, free = self.name, self.circuit, self._free()
        due = parked.due(name, free) if free > 0 else []
        # Those whose last attempt never came back: they may have killed the worker.
        lost = [
            each for each in due if each.status == "leased" and each.attempts >= parked.ATTEMPTS
        ]
        error = LeaseRanOut("The lease of the last attempt expired without an answer or an error.")
        parked.postpone(
            name,
            [
                parked.failed(each.position, error, attempts=each.attempts, token=each.attempts)
                for each in lost
            ],
        )
        tokens = {each.position: each.attempts + 1 for each in due if each not in lost}
        messages = dict[int, Message]()
        if tokens:
            parked.lease(name, list(tokens), leases.first(self.effect.lease))
            messages = {each.position: each for each in cursors.read_at(name, list(tokens))}
        if circuit.is_open:
            parked.defer(name, circuit.wait())
        return [(messages[position], token) for position, token in tokens.items()]

    def begin(self, leased: Sequence[Leased], taken_at: float) -> None:
        """taken_at: when the leases were taken, of time.monotonic, or earlier."""
        # Whether the log may have lost that a call was made.
        may_have_been_made = epochs.asks_first()
        for message, token in leased:
            longest = self.effect.lease
            lease = Lease(self.name, message.position, token, taken_at=taken_at, longest=longest)
            self.calls.append(Call(self, message, lease, again=may_have_been_made or token > 1))

    def record(self, send: Send) -> int:
        """Record the answers that have come. Returns how many."""
        done, pending = list[Call](), list[Call]()
        for call in self.calls:
            # Each future is checked once, because it may complete at any moment.
            (done if call.future.done() else pending).append(call)
        if not done:
            return 0
        try:
            self._record(done, send.at_once)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001  a decider's; its context parks the command
            logger.info("%s: answers are sent by the outbox: %r", self.name, error)
            self._record(done, send.by_outbox)
        self.calls = pending
        return len(done)

    def _record(self, done: Sequence[Call], send: Callable[[Sequence[Answer]], None]) -> None:
        failures = [call for call in done if call.future.exception() is not None]
        answered = [call for call in done if call.future.exception() is None]
        answers = {call.message.position: call for call in answered}
        with atomic():
            # Without the lock, a concurrent take_in would still see what is settled here, and park
            # a message that waits behind it for ever.
            cursors.hold(self.name)
            tokens = {position: call.lease.token for position, call in answers.items()}
            ours = parked.settle(self.name, tokens)
            parked.postpone(self.name, [call.postponed() for call in failures])
            found = [call.future.result() for at, call in answers.items() if at in ours]
            send([answer for answer in found if answer is not None])


class Calls:
    """The calls of one process, by effect, and the thread that renews their leases."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}
        self.renewal = leases.Renewal(self.held)

    def step(self, name: str, effect: Effect, limit: int, send: Send) -> int:
        """Record answers, park new messages, start calls. Returns how many messages moved."""
        if name not in self.callers:
            self.callers[name] = Caller(name, effect)
        caller = self.callers[name]
        # Earlier than the database's own time, so that a lease never seems longer than it is.
        taken_at = time.monotonic()
        with atomic():
            taken_in, leased = caller.take_in(limit)
            leased = leased or caller.lease()
        if leased:
            caller.begin(leased, taken_at)
            self.keep_leases()
        if len(caller.calls) <= effect.concurrency:
            wait([call.future for call in caller.calls], PROMPT_SECONDS, ALL_COMPLETED)
        return taken_in + len(leased) + caller.record(send)

    def under_way(self) -> bool:
        return any(caller.calls for caller in self.callers.values())

    def wait_for_any(self, seconds: float) -> None:
        """Wait until a call is answered, so that draining the subscriptions does not spin."""
        calls = [call for caller in self.callers.values() for call in caller.calls]
        wait([call.future for call in calls], seconds, FIRST_COMPLETED)

    def answered(self, name: str) -> bool:
        caller = self.callers.get(name)
        return caller is not None and any(call.future.done() for call in caller.calls)

    def held(self) -> list[Lease]:
        callers = tuple(self.callers.values())
        return [call.lease for caller in callers for call in tuple(caller.calls)]

    def keep_leases(self) -> None:
        """Start the thread if it does not run: at first, after a fork, or after it has died."""
        if not self.renewal.is_alive():
            self.renewal = leases.Renewal(self.held)
            self.renewal.start()

    def forget(self) -> None:
        """Close every circuit, and leave the calls under way to their leases, as a worker that
        ends does."""
        self.callers.clear()


# Threads and circuits, so one for the process: a provider is as slow for each worker in it.
this_process = Calls()
