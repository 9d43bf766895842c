"""Dispatch commands: find the decider, load, decide, append; retry when another writer was
first."""

import logging
import random
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from django.db import OperationalError, transaction

from eventstore import codec, log, postgres, registry
from eventstore.aggregate import CommandRejected, Decision, VersionedState
from eventstore.log import (
    AppendCondition,
    Appended,
    NewEvent,
    OutgoingMessage,
    WrongExpectedVersion,
    epochs,
)
from eventstore.messages import Command, Event, Metadata, replace
from eventstore.outbox import wakeup

from . import repository

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ATTEMPTS = 5
# Maximum pause before the second attempt, doubled for each further one. The pause is random, so
# that writers that collided do not collide again.
PAUSE_SECONDS = 0.005

APPENDED = "%s@%s %s by %s correlation=%s cause=%s"


class Request(NamedTuple):
    """A command, and where it comes from."""

    command: Command
    metadata: Metadata


class RoutedCommand(NamedTuple):
    """A command with its decision. streams: those that the decision needs, the command's own
    first."""

    command: Command
    metadata: Metadata
    decision: Decision
    streams: Sequence[str]


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


# Writes events and messages, on a condition. log.write is one.
Write = Callable[[Sequence[NewEvent], Sequence[OutgoingMessage], AppendCondition | None], Appended]
# As Write, with the outcome as its first argument.
WriteOutcome = Callable[
    [Outcome, Sequence[NewEvent], Sequence[OutgoingMessage], AppendCondition | None], Appended
]


class Stale(Exception):
    """The caller decided on a version of the command's own stream that is not the current one.

    actual: the current version; 0 for no stream.
    """

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
    routed = route(command, _with_name(command, metadata or log.current_metadata()))
    creates, recalled = routed.decision.creates, None
    # Not in a caller's transaction, which a failed append would break.
    if creates and seen is None and not postgres.in_transaction():
        recalled = repository.recall(routed.streams, creates=creates)
    outcome = _retry_on_conflict(Dispatch(routed, recalled, seen, write).attempt)
    logger.info("%s → %s@%s", routed.metadata.command, outcome.stream, outcome.version)
    return outcome


class Dispatch:
    """One command: decided on recalled states at first, if there are any, then on the log."""

    def __init__(
        self,
        command: RoutedCommand,
        recalled: repository.Recalled | None,
        seen: Container[int] | None,
        write: WriteOutcome | None,
    ) -> None:
        self.command, self.recalled, self.seen, self.write = command, recalled, seen, write
        self.stream = command.streams[0]

    def attempt(self) -> Outcome:
        recalled, self.recalled = self.recalled, None
        if recalled is not None:
            try:
                # The append checks that the states are the latest ones.
                return self._decide(
                    DecisionBatch([self.command], recalled.states, epoch=recalled.epoch)
                )
            except WrongExpectedVersion as error:
                if error.actual < error.expected:
                    epochs.went_back(error.stream, remembered=error.expected)
            except (CommandRejected, epochs.EpochOver):
                pass  # a state that may be old does not justify a rejection
        batch = DecisionBatch([self.command])
        version = batch.states[self.stream].version
        if self.seen is not None and version not in self.seen:
            raise Stale(self.stream, version)
        return self._decide(batch)

    def _decide(self, batch: "DecisionBatch") -> Outcome:
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
    metadata = metadata or log.current_metadata()
    return dispatch_requests([Request(command, metadata) for command in commands])


def dispatch_requests(
    requests: Iterable[Request], *, owing: Iterable[Request] = (), write: Write = log.write
) -> Appended:
    """As dispatch_all, for commands of several correlations. owing: commands that the same append
    puts into the outbox. write: as for dispatch, without the outcome."""
    commands = [route(command, _with_name(command, metadata)) for command, metadata in requests]
    outgoing = [log.outgoing(command, metadata=metadata) for command, metadata in owing]

    def attempt() -> Appended:
        batch = DecisionBatch(commands)
        batch.outgoing += outgoing
        for index in range(len(commands)):
            batch.decide(index)
        return batch.write(write)

    return _retry_on_conflict(attempt)


def enqueue(commands: Iterable[Command], *, metadata: Metadata | None = None) -> None:
    """Put commands into the outbox; a worker decides them in their context's subscription."""
    metadata = metadata or log.current_metadata()
    log.write([], [log.outgoing(command, metadata=metadata) for command in commands])
    transaction.on_commit(wakeup.wake_workers)


def route(command: Command, metadata: Metadata) -> RoutedCommand:
    """Raises registry.UnknownCommand."""
    decision = registry.decision_for(command)
    return RoutedCommand(command, metadata, decision, decision.streams(command))


class DecisionBatch:
    """Decides commands one after another, each on the states that the ones before it left, then
    writes everything at once. All streams are loaded in one query.

    from_cache: states that were not read from the log. The write is refused if they are not the
    latest ones. epoch: in which they were cached.
    """

    def __init__(
        self,
        commands: Sequence[RoutedCommand],
        from_cache: Mapping[str, VersionedState] | None = None,
        *,
        epoch: int | None = None,
    ) -> None:
        self.commands = commands
        # Before anything is read: if the epoch ends meanwhile, nothing of this is cached.
        self.epoch = epochs.mark() if epoch is None else epoch
        self.states = (
            dict(from_cache)
            if from_cache
            else repository.load(
                dict.fromkeys(stream for each in commands for stream in each.streams)
            )
        )
        # The versions that the events are decided on; those of written streams are checked anyway.
        self.read = {stream: state.version for stream, state in (from_cache or {}).items()}
        self.events: list[NewEvent] = []
        self.written: set[str] = set()
        self.outgoing: list[OutgoingMessage] = []

    def decide(self, index: int) -> list[Event]:
        """Raises the decider's CommandRejected; then nothing of this command is written."""
        command, metadata, decision, streams = self.commands[index]
        decided = decision.decide({each: self.states[each].state for each in streams}, command)
        # All envelopes are made before any is added: one of the events may be too large to store.
        new: dict[str, list[NewEvent]] = {}
        for stream, events in decided.items():
            if events:
                new[stream] = log.new_events(
                    stream,
                    events,
                    expected=self.states[stream].version,
                    metadata=metadata,
                    continues=stream in self.written,
                )
        if new and not decision.unchecked:
            for stream in streams:
                if stream not in self.written:
                    self.read[stream] = self.states[stream].version
        for stream, envelopes in new.items():
            (version, state), events = self.states[stream], decided[stream]
            state = registry.aggregate_of(stream).fold(events, state)
            self.states[stream] = VersionedState(version + len(events), state)
            self.events += envelopes
            self.written.add(stream)
        return [event for events in decided.values() for event in events]

    def write(self, write: Write = log.write) -> Appended:
        # The expected version of a written stream is part of its events.
        others = {stream: v for stream, v in self.read.items() if stream not in self.written}
        condition = AppendCondition(self.epoch, others) if others else None
        try:
            appended = write(self.events, self.outgoing, condition)
        except WrongExpectedVersion as error:
            repository.forget([error.stream])
            raise
        # In a transaction that Django does not know of, on_commit would run at once.
        if transaction.get_connection().in_atomic_block or not postgres.in_transaction():
            transaction.on_commit(partial(repository.remember, self.states, epoch=self.epoch))
        if logger.isEnabledFor(logging.DEBUG):
            for event in self.events:
                about = (
                    *(event.stream, event.version, event.type),
                    codec.decode_json(event.metadata).get("command", "?"),
                    event.correlation_id,
                    event.causation_id or "-",
                )
                transaction.on_commit(partial(logger.debug, APPENDED, *about))
        if self.events or self.outgoing:
            transaction.on_commit(wakeup.wake_workers)
        return appended


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
    return replace(metadata, command=registry.name_of_class(type(command)))
