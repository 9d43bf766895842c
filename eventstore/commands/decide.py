"""Decide a batch of commands: load all their streams in one query, decide in order, write once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from django.db import transaction

from eventstore import log, registry
from eventstore.aggregate import CommandRejected, VersionedState
from eventstore.limits import Unstorable
from eventstore.log import (
    AppendCondition,
    Appended,
    NewEvent,
    OutgoingMessage,
    WrongExpectedVersion,
    epochs,
)
from eventstore.messages import (
    Command,
    CommandRefused,
    Event,
    InvalidMessage,
    Message,
    Metadata,
    replace,
)
from eventstore.outbox import wakeup

from . import deferred, repository

logger = logging.getLogger(__name__)

# Writes events and messages, on a condition. log.write is one.
Write = Callable[[Sequence[NewEvent], Sequence[OutgoingMessage], AppendCondition | None], Appended]


class Request(NamedTuple):
    """A command, and where it comes from."""

    command: Command
    metadata: Metadata


class DecisionBatch:
    """Decides commands one after another, each on the states that the ones before it left, then
    writes everything at once.

    from_cache: states that were not read from the log. The write is refused if they are not the
    latest ones. epoch: in which they were cached.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        from_cache: Mapping[str, VersionedState] | None = None,
        *,
        epoch: int | None = None,
    ) -> None:
        self.decisions = [registry.decision_for(request.command) for request in requests]
        self.requests = requests
        # Before anything is read: if the epoch ends meanwhile, nothing of this is cached.
        self.epoch = epochs.mark() if epoch is None else epoch
        self.states = dict(from_cache) if from_cache else self._load()
        # The versions that the events are decided on; those of written streams are checked anyway.
        self.read = {stream: state.version for stream, state in (from_cache or {}).items()}
        self.events: list[NewEvent] = []
        self.written: set[str] = set()
        self.outgoing: list[OutgoingMessage] = []

    def _load(self) -> dict[str, VersionedState]:
        streams = dict.fromkeys(
            stream
            for decision, request in zip(self.decisions, self.requests, strict=True)
            for stream in decision.streams(request.command)
        )
        return repository.load(streams)

    def own_stream(self, index: int) -> str:
        return self.decisions[index].streams(self.requests[index].command)[0]

    def decide(self, index: int) -> list[Event]:
        """Raises the decider's CommandRejected; then nothing of this command is written."""
        decision, (command, metadata) = self.decisions[index], self.requests[index]
        known = {stream: self.states[stream].state for stream in decision.streams(command)}
        decided = decision.decide(known, command)
        # All envelopes are made before any is added: one of the events may be too large to store.
        new = {
            stream: log.new_events(
                stream,
                events,
                expected=self.states[stream].version,
                metadata=metadata,
                continues=stream in self.written,
            )
            for stream, events in decided.items()
            if events
        }
        if new and not decision.unchecked:
            only_read = (stream for stream in known if stream not in self.written)
            self.read |= {stream: self.states[stream].version for stream in only_read}
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
        repository.remember(self.states, epoch=self.epoch)
        if logger.isEnabledFor(logging.DEBUG):
            transaction.on_commit(self._log)
        if self.events or self.outgoing:
            transaction.on_commit(wakeup.wake_workers)
        return appended

    def _log(self) -> None:
        for event in self.events:
            logger.debug(
                "%s@%s %s by %s correlation=%s cause=%s",
                event.stream,
                event.version,
                event.type,
                event.metadata.get("command", "?"),
                event.correlation_id,
                event.causation_id or "-",
            )


def decide(messages: Sequence[Message]) -> None:
    """Decide the commands enqueued for a context, and reply to their senders: to a saga only when
    its command is rejected, to a client always."""
    batch = DecisionBatch(
        [Request(message.body, _without_reply(message.metadata)) for message in messages]
    )
    clients = ClientCommands(batch)
    for index, message in enumerate(messages):
        if message.metadata.reply_to == deferred.CLIENT:
            clients.decide(index, message)
        else:
            _decide_for_saga(batch, index, message)
    clients.settle(batch.write())


def _decide_for_saga(batch: DecisionBatch, index: int, message: Message) -> None:
    try:
        batch.decide(index)
    except CommandRejected as rejection:
        _log_rejection(message, rejection)
        saga, key = message.metadata.reply_to, message.metadata.reply_key
        if saga:
            refused = CommandRefused(key, message.type, rejection.code, str(rejection))
            metadata = _without_reply(message.metadata)
            batch.outgoing.append(log.saga_message(saga, key, refused, metadata=metadata))


class ClientCommands:
    """Decides the deferred commands of a batch and collects their results. The positions are known
    only after the write."""

    def __init__(self, batch: DecisionBatch) -> None:
        self.batch = batch
        self.results: list[deferred.CommandResult] = []
        # Of commands that recorded nothing: reply key -> the stream that the result depends on.
        self.repeats: dict[str, str] = {}

    def decide(self, index: int, message: Message) -> None:
        try:
            events = self.batch.decide(index)
        except CommandRejected as rejection:
            _log_rejection(message, rejection)
            self._reject(message, rejection.code, rejection.detail)
        except (InvalidMessage, Unstorable) as error:
            # An error in the client's input: without deferral it would be a 400.
            self._reject(message, type(error).__name__, str(error))
        else:
            key, stream = message.metadata.reply_key, self.batch.own_stream(index)
            version = self.batch.states[stream].version
            self.results.append(deferred.CommandResult(key, "SUCCEEDED", version))
            if not events:
                self.repeats[key] = stream

    def _reject(self, message: Message, code: str, detail: str) -> None:
        key = message.metadata.reply_key
        self.results.append(deferred.CommandResult(key, "REFUSED", code=code, detail=detail))

    def settle(self, appended: Appended) -> None:
        """Record the results with the positions that the clients' next queries must have seen."""
        versions = {stream: self.batch.states[stream].version for stream in self.repeats.values()}
        positions = log.positions_at(versions) if versions else {}

        def position_of(result: deferred.CommandResult) -> int:
            if result.id in self.repeats:
                return positions.get(self.repeats[result.id], 0)
            return appended.position

        deferred.settle(
            [
                replace(each, position=position_of(each)) if each.status == "SUCCEEDED" else each
                for each in self.results
            ]
        )


def _log_rejection(message: Message, rejection: CommandRejected) -> None:
    logger.info("%s rejected for %s: %s", message.type, message.stream, rejection.code)


def _without_reply(metadata: Metadata) -> Metadata:
    return replace(metadata, reply_to="", reply_key="")
