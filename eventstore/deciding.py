"""Decide a batch of commands: load all their streams in one query, decide in order, write once."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.db import transaction

from . import nudge, registry, states, store
from .aggregate import Folded, Refusal
from .messages import Command, CommandRefused, Event, Message, Metadata, replace
from .store import Appended, NewEvent, Owed, WrongExpectedVersion

logger = logging.getLogger(__name__)


Write = Callable[[Sequence[NewEvent], Sequence[Owed]], Appended]


class Request(NamedTuple):
    """A command with where it comes from."""

    command: Command
    metadata: Metadata


class Deciding:
    """Decides commands one after another on states that it carries along, then writes everything at once."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.decisions = [registry.decision_for(request.command) for request in requests]
        self.requests = requests
        wanted = dict.fromkeys(
            stream
            for decision, request in zip(self.decisions, requests, strict=True)
            for stream in decision.streams(request.command)
        )
        self.folded = states.load(wanted)
        self.events: list[NewEvent] = []
        self.written: set[str] = set()
        self.owed: list[Owed] = []

    def decide(self, index: int) -> list[Event]:
        """Raises Refusal; then nothing of this command is kept."""
        decision, (command, metadata) = self.decisions[index], self.requests[index]
        known = {stream: self.folded[stream].state for stream in decision.streams(command)}
        decided = decision.decide(known, command)
        for stream, events in decided.items():
            self._keep(stream, events, metadata)
        return [event for events in decided.values() for event in events]

    def write(self, write: Write = store.write) -> Appended:
        try:
            appended = write(self.events, self.owed)
        except WrongExpectedVersion as error:
            states.forget([error.stream])
            raise
        states.remember(self.folded)
        transaction.on_commit(self._log)
        if self.events or self.owed:
            transaction.on_commit(nudge.send)
        return appended

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

    def _keep(self, stream: str, events: Sequence[Event], metadata: Metadata) -> None:
        if not events:
            return
        version, state = self.folded[stream]
        continues = stream in self.written
        self.events += store.new_events(stream, events, expected=version, metadata=metadata, continues=continues)
        self.written.add(stream)
        self.folded[stream] = Folded(version + len(events), registry.aggregate_of(stream).fold(events, state))


def decide(messages: Sequence[Message]) -> None:
    """Decide what is owed to a context; a saga whose command is refused is told."""
    deciding = Deciding([Request(message.body, _without_reply(message.metadata)) for message in messages])
    for index, message in enumerate(messages):
        try:
            deciding.decide(index)
        except Refusal as refusal:
            logger.info("%s refused for %s: %s", message.type, message.stream, refusal.code)
            deciding.owed += _refused(message, refusal)
    deciding.write()


def _without_reply(metadata: Metadata) -> Metadata:
    return replace(metadata, reply_to="", reply_key="")


def _refused(message: Message, refusal: Refusal) -> list[Owed]:
    to, key = message.metadata.reply_to, message.metadata.reply_key
    if not to:
        return []
    word = CommandRefused(key=key, command=message.type, code=refusal.code, detail=str(refusal))
    return [store.word(to, key, word, metadata=_without_reply(message.metadata))]
