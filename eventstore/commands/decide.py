"""Decide a batch of commands: load all their streams in one query, decide in order, write once."""

import inspect
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

from . import deferred
from . import repository as states

logger = logging.getLogger(__name__)


# What it writes, and on which premises.
Write = Callable[[Sequence[NewEvent], Sequence[OutgoingMessage], AppendCondition | None], Appended]


class Request(NamedTuple):
    """A command with where it comes from."""

    command: Command
    metadata: Metadata


class DecisionBatch:
    """Decides commands one after another on states that it carries along, then writes everything at
    once.

    recalled: states that were not looked for in the log; what is decided is written if they are
    still the last ones, in the epoch in which they were recalled.
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
        # Known before anything is looked at: if it ends meanwhile, nothing of this is remembered.
        self.epoch = epochs.mark() if epoch is None else epoch
        self.folded = dict(from_cache) if from_cache else self._loaded()
        self.condition = {stream: folded.version for stream, folded in (from_cache or {}).items()}
        self.events: list[NewEvent] = []
        self.written: set[str] = set()
        self.outgoing: list[OutgoingMessage] = []

    def _loaded(self) -> dict[str, VersionedState]:
        wanted = dict.fromkeys(
            stream
            for decision, request in zip(self.decisions, self.requests, strict=True)
            for stream in decision.streams(request.command)
        )
        return states.load(wanted)

    def decide(self, index: int) -> list[Event]:
        """Raises Refusal; then nothing of this command is kept."""
        decision, (command, metadata) = self.decisions[index], self.requests[index]
        known = {stream: self.folded[stream].state for stream in decision.streams(command)}
        decided = decision.decide(known, command)
        # An event that cannot be stored is found before any of the command's is kept.
        made = {
            stream: self._made(stream, events, metadata)
            for stream, events in decided.items()
            if events
        }
        if made and not decision.unchecked:
            self.condition |= {
                stream: self.folded[stream].version
                for stream in known
                if stream not in self.written
            }
        for stream, new in made.items():
            self._keep(stream, decided[stream], new)
        return [event for events in decided.values() for event in events]

    def write(self, write: Write = log.write) -> Appended:
        try:
            appended = write(self.events, self.outgoing, self._of_others())
        except WrongExpectedVersion as error:
            states.forget([error.stream])
            raise
        states.remember(self.folded, epoch=self.epoch)
        transaction.on_commit(self._log)
        if self.events or self.outgoing:
            transaction.on_commit(wakeup.wake_workers)
        return appended

    def _of_others(self) -> AppendCondition | None:
        """The versions of what was only read: of a stream that is written, its expected version
        says as much."""
        others = {
            stream: version
            for stream, version in self.condition.items()
            if stream not in self.written
        }
        return AppendCondition(self.epoch, others) if others else None

    def _log(self) -> None:
        if logger.isEnabledFor(logging.DEBUG):
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

    def _made(self, stream: str, events: Sequence[Event], metadata: Metadata) -> list[NewEvent]:
        version, continues = self.folded[stream].version, stream in self.written
        return log.new_events(
            stream, events, expected=version, metadata=metadata, continues=continues
        )

    def _keep(self, stream: str, events: Sequence[Event], new: Sequence[NewEvent]) -> None:
        version, state = self.folded[stream]
        self.events += new
        self.written.add(stream)
        self.folded[stream] = VersionedState(
            version + len(events), registry.aggregate_of(stream).fold(events, state)
        )


def decide(messages: Sequence[Message]) -> None:
    """Decide what is owed to a context; a saga whose command is refused is told, and so is a
    client."""
    deciding = DecisionBatch(
        [Request(message.body, _without_reply(message.metadata)) for message in messages]
    )
    settled, repeats = list[deferred.CommandResult](), dict[str, str]()
    for index, message in enumerate(messages):
        is_a_clients = message.metadata.reply_to == deferred.CLIENT
        try:
            events = deciding.decide(index)
        except CommandRejected as refusal:
            logger.info("%s refused for %s: %s", message.type, message.stream, refusal.code)
            if is_a_clients:
                settled.append(
                    _turned_down(
                        message, refusal.code, f"{inspect.getdoc(type(refusal))} {refusal}"
                    )
                )
            else:
                deciding.outgoing += _refused(message, refusal)
        except (InvalidMessage, Unstorable) as error:
            # The client's doing; were it said at once, it would be a 400. Nothing of it is kept.
            if not is_a_clients:
                raise
            settled.append(_turned_down(message, type(error).__name__, str(error)))
        else:
            if is_a_clients:
                stream = deciding.decisions[index].streams(message.body)[0]
                settled.append(
                    deferred.CommandResult(
                        message.metadata.reply_key, "SUCCEEDED", deciding.folded[stream].version
                    )
                )
                if not events:
                    repeats[message.metadata.reply_key] = stream
    position = deciding.write().position
    deferred.settle(_placed(settled, position, repeats, deciding))


def _placed(
    settled: Sequence[deferred.CommandResult],
    position: int,
    repeats: Mapping[str, str],
    deciding: DecisionBatch,
) -> Sequence[deferred.CommandResult]:
    """With the positions that a client has to have seen. repeats: the streams on which those rest
    that recorded nothing, by the key of the reply."""
    versions = {stream: deciding.folded[stream].version for stream in repeats.values()}
    stands_at = log.positions_at(versions) if versions else {}
    where = {key: stands_at.get(stream, 0) for key, stream in repeats.items()}
    return [
        replace(each, position=where.get(each.id, position)) if each.status == "SUCCEEDED" else each
        for each in settled
    ]


def _turned_down(message: Message, code: str, detail: str) -> deferred.CommandResult:
    return deferred.CommandResult(message.metadata.reply_key, "REFUSED", code=code, detail=detail)


def _without_reply(metadata: Metadata) -> Metadata:
    return replace(metadata, reply_to="", reply_key="")


def _refused(message: Message, refusal: CommandRejected) -> list[OutgoingMessage]:
    to, key = message.metadata.reply_to, message.metadata.reply_key
    if not to:
        return []
    word = CommandRefused(key=key, command=message.type, code=refusal.code, detail=str(refusal))
    return [log.saga_message(to, key, word, metadata=_without_reply(message.metadata))]
