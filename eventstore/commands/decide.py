"""Decide the commands that were enqueued for a context, and reply to their senders."""

import logging
from collections.abc import Sequence

from eventstore import log
from eventstore.aggregate import CommandRejected
from eventstore.codec import Unstorable
from eventstore.log import Appended
from eventstore.messages import CommandRefused, InvalidMessage, Message, Metadata, replace

from . import deferred
from .bus import DecisionBatch, route

logger = logging.getLogger(__name__)


def decide(messages: Sequence[Message]) -> None:
    """Decide the commands enqueued for a context, and reply to their senders: to a saga only when
    its command is rejected, to a client always."""
    batch = DecisionBatch(
        [route(message.body, _without_reply(message.metadata)) for message in messages]
    )
    clients = ClientCommands(batch)
    for index, message in enumerate(messages):
        saga, key = message.metadata.reply_to, message.metadata.reply_key
        if saga == deferred.CLIENT:
            clients.decide(index, message)
            continue
        try:
            batch.decide(index)
        except CommandRejected as rejection:
            _log_rejection(message, rejection)
            if saga:
                refused = CommandRefused(key, message.type, rejection.code, str(rejection))
                metadata = _without_reply(message.metadata)
                batch.outgoing.append(log.saga_message(saga, key, refused, metadata=metadata))
    clients.settle(batch.write())


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


def _log_rejection(message: Message, rejection: CommandRejected) -> None:
    logger.info("%s rejected for %s: %s", message.type, message.stream, rejection.code)


def _without_reply(metadata: Metadata) -> Metadata:
    return replace(metadata, reply_to="", reply_key="")
