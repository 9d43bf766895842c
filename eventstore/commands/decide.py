"""Decide the commands that were sent to a context, and reply to their senders."""

import logging
from collections.abc import Sequence

from eventstore import log, registry
from eventstore.aggregate import CommandRejected
from eventstore.codec import Unstorable
from eventstore.log import Appended
from eventstore.messages import (
    Command,
    CommandRefused,
    InvalidMessage,
    Message,
    Metadata,
    replace,
)
from eventstore.outbox import cursors

from . import deferred
from .bus import DecisionBatch, RoutedCommand, route

logger = logging.getLogger(__name__)


def send(commands: Sequence[tuple[Command, Metadata]]) -> None:
    """Enqueue the commands of a saga or of an effect for their contexts. metadata: names the saga
    that gets a rejection."""
    log.write([], [log.outgoing(command, metadata=metadata) for command, metadata in commands])


def decide_or_send(commands: Sequence[tuple[Command, Metadata]]) -> None:
    """As send, but a command whose context has nothing else to do is decided in this transaction.
    Its whole effect is in this commit, so it needs no row in the outbox (ADR 45).

    Raises what deciders raise but CommandRejected, and WrongExpectedVersion. Then roll back and
    send.
    """
    topics = {registry.topic_of(command) for command, _ in commands}
    idle = cursors.claim_idle(topics & registry.subscriptions().keys()) if topics else set()
    at_once = [each for each in commands if registry.topic_of(each[0]) in idle]
    if not at_once:
        send(commands)
        return
    batch = DecisionBatch([_as_received(*each) for each in at_once])
    batch.outgoing += [
        log.outgoing(command, metadata=metadata)
        for command, metadata in commands
        if registry.topic_of(command) not in idle
    ]
    for index, (_, metadata) in enumerate(at_once):
        _decide(batch, index, metadata)
    batch.write()


def decide(messages: Sequence[Message]) -> None:
    """Decide the commands enqueued for a context, and reply to their senders: to a saga only when
    its command is rejected, to a client always."""
    batch = DecisionBatch(
        [route(message.body, _without_reply(message.metadata)) for message in messages]
    )
    clients = ClientCommands(batch)
    for index, message in enumerate(messages):
        if message.metadata.reply_to == deferred.CLIENT:
            clients.decide(index, message)
        else:
            _decide(batch, index, message.metadata)
    clients.settle(batch.write())


def _decide(batch: DecisionBatch, index: int, sender: Metadata) -> None:
    """sender: metadata with the saga that gets a rejection, if there is one."""
    try:
        batch.decide(index)
    except CommandRejected as rejection:
        command = batch.commands[index]
        _log_rejection(command, rejection)
        if sender.reply_to:
            name = command.metadata.command
            refused = CommandRefused(sender.reply_key, name, rejection.code, str(rejection))
            batch.outgoing.append(
                log.saga_message(
                    sender.reply_to, sender.reply_key, refused, metadata=command.metadata
                )
            )


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
            _log_rejection(self.batch.commands[index], rejection)
            self._reject(message, rejection.code, rejection.detail)
        except (InvalidMessage, Unstorable) as error:
            # An error in the client's input: without deferral it would be a 400.
            self._reject(message, type(error).__name__, str(error))
        else:
            key, stream = message.metadata.reply_key, self.batch.commands[index].streams[0]
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


def _log_rejection(command: RoutedCommand, rejection: CommandRejected) -> None:
    name, stream = command.metadata.command, command.streams[0]
    logger.info("%s rejected for %s: %s", name, stream, rejection.code)


def _as_received(command: Command, metadata: Metadata) -> RoutedCommand:
    """As if it had come through the outbox."""
    name = registry.name_of_class(type(command))
    return route(command, replace(_without_reply(metadata), command=name))


def _without_reply(metadata: Metadata) -> Metadata:
    return replace(metadata, reply_to="", reply_key="")
