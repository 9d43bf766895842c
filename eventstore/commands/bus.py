"""Dispatch commands: find the decider, load, decide, append; retry when another writer was
first."""

import logging
import random
import time
from collections.abc import Callable, Container, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from django.db import OperationalError, transaction

from eventstore import log, postgres, registry
from eventstore.aggregate import CommandRejected
from eventstore.log import (
    AppendCondition,
    Appended,
    NewEvent,
    OutgoingMessage,
    WrongExpectedVersion,
    context,
    epochs,
)
from eventstore.messages import Command, Event, Metadata, replace
from eventstore.outbox import wakeup

from . import repository
from .decide import DecisionBatch, Request

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ATTEMPTS = 5
# Maximum pause before the second attempt, doubled for each further one. The pause is random, so
# that writers that collided do not collide again.
PAUSE_SECONDS = 0.005


class Outcome(NamedTuple):
    """The result of a command. stream: the command's own. version: of the stream now. events: those
    recorded.

    position: of the last recorded event in the log. Where the command is a repeat and nothing was
    recorded: of the stream's last event, which the result depends on. 0 for a stream without
    events.
    """

    stream: str
    version: int
    position: int
    events: Sequence[Event]


# As log.write, with the outcome as its first argument.
WriteOutcome = Callable[
    [Outcome, Sequence[NewEvent], Sequence[OutgoingMessage], AppendCondition | None], Appended
]


class Stale(Exception):
    """The caller decided on a version of the command's own stream that is not the current one.
    actual: the current version; 0 for no stream."""

    def __init__(self, stream: str, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}.")
        self.stream, self.actual = stream, actual


def dispatch(
    command: Command,
    *,
    metadata: Metadata | None = None,
    seen: Container[int] | None = None,
    write: WriteOutcome | None = None,
) -> Outcome:
    """Decide one command.

    seen: the versions of the command's own stream that the caller accepts; the append is to one of
    them. write: appends the events in place of log.write, for instance together with a stored
    response. It also gets the outcome, whose position is only known if it is a repeat.

    Raises the decider's CommandRejected, Stale, registry.UnknownCommand, and after ATTEMPTS
    conflicts WrongExpectedVersion or the database's error for a deadlock or a lock timeout. After
    any other error it is unknown whether the command was recorded.
    """
    request = Request(command, _with_name(command, metadata or context.current()))
    dispatched = Dispatch(request, seen, write)
    outcome = _retry_on_conflict(dispatched.attempt)
    logger.info("%s → %s@%s", request.metadata.command, outcome.stream, outcome.version)
    return outcome


class Dispatch:
    """One command: decided on cached states if possible, else on the log."""

    def __init__(
        self,
        request: Request,
        seen: Container[int] | None,
        write: WriteOutcome | None,
    ) -> None:
        self.request, self.seen, self.write = request, seen, write
        self.decision = registry.decision_for(request.command)
        self.streams = self.decision.streams(request.command)
        self.stream = self.streams[0]

    def attempt(self) -> Outcome:
        # The cache serves commands that create their stream. Not in a caller's transaction, which a
        # failed append would break.
        cacheable = self.decision.creates_stream and self.seen is None
        if cacheable and not postgres.in_transaction() and (outcome := self._from_cache()):
            return outcome
        return self._from_log()

    def _from_cache(self) -> Outcome | None:
        """Decide without reading the log; the append checks the states. None if a state is not
        cached or is too old, and for a rejection, which an old state does not justify."""
        epoch = epochs.mark()
        states = repository.recall(self.streams, opened=self.stream)
        if states is None:
            return None
        try:
            return self._decide(DecisionBatch([self.request], states, epoch=epoch))
        except WrongExpectedVersion as error:
            if error.actual < error.expected:
                epochs.went_back(error.stream, remembered=error.expected)
            return None
        except (CommandRejected, epochs.EpochOver):
            return None

    def _from_log(self) -> Outcome:
        batch = DecisionBatch([self.request])
        version = batch.states[self.stream].version
        if self.seen is not None and version not in self.seen:
            raise Stale(self.stream, version)
        return self._decide(batch)

    def _decide(self, batch: DecisionBatch) -> Outcome:
        events = batch.decide(0)
        outcome = Outcome(self.stream, batch.states[self.stream].version, 0, events)
        if not events:
            # One more statement, for repeats only.
            positions = log.positions_at({outcome.stream: outcome.version})
            outcome = outcome._replace(position=positions.get(outcome.stream, 0))
        appended = batch.write(partial(self.write, outcome) if self.write else log.write)
        return outcome._replace(position=appended.position) if events else outcome


def dispatch_all(commands: Iterable[Command], *, metadata: Metadata | None = None) -> Appended:
    """Decide several commands in order, and record all or none. The first rejection rejects all."""
    metadata = metadata or context.current()
    return dispatch_requests([Request(command, metadata) for command in commands])


def dispatch_requests(requests: Iterable[Request], *, owing: Iterable[Request] = ()) -> Appended:
    """As dispatch_all, for commands of several correlations. owing: commands that the same append
    puts into the outbox."""
    named = [Request(command, _with_name(command, metadata)) for command, metadata in requests]
    outgoing = [log.outgoing(command, metadata=metadata) for command, metadata in owing]

    def attempt() -> Appended:
        batch = DecisionBatch(named)
        batch.outgoing += outgoing
        for index in range(len(named)):
            batch.decide(index)
        return batch.write()

    return _retry_on_conflict(attempt)


def enqueue(commands: Iterable[Command], *, metadata: Metadata | None = None) -> None:
    """Put commands into the outbox; a worker decides them in their context's subscription."""
    metadata = metadata or context.current()
    log.write([], [log.outgoing(command, metadata=metadata) for command in commands])
    transaction.on_commit(wakeup.wake_workers)


def _retry_on_conflict(attempt: Callable[[], Result]) -> Result:
    for attempts in range(1, ATTEMPTS):
        try:
            return attempt()
        except (WrongExpectedVersion, OperationalError) as error:
            conflict = isinstance(error, WrongExpectedVersion | epochs.EpochOver)
            retryable = conflict or postgres.was_rolled_back(error)
            # In a caller's transaction the error has broken it: only the caller can retry.
            if postgres.in_transaction() or not retryable:
                raise
            logger.info("conflict, retrying: %s", error)
        time.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempts))
    return attempt()


def _with_name(command: Command, metadata: Metadata) -> Metadata:
    return replace(metadata, command=registry.name_of(command))
