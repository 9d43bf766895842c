"""Translate a batch of domain events into integration events and publish them on the event bus."""

from collections.abc import Sequence
from itertools import chain
from uuid import UUID

import msgspec
import uuid_utils

from eventstore import registry, results
from eventstore.messages import Message
from eventstore.subscriptions import Publication

from .event_bus import Envelope, event_bus
from .histories import Histories, History

# Upper bound for the integration events of one domain event.
PER_EVENT = 1000
# Maximum of streams whose last sequence is kept.
KEPT_STREAMS = 50_000


def publish(publication: Publication, messages: Sequence[Message]) -> None:
    translator = Translator(publication)
    translator.begin(messages)
    # A bus without subscribers never iterates over the envelopes, so they are not made.
    event_bus().publish(chain.from_iterable(map(translator.envelopes, messages)))


class Translator:
    """Translates the messages of one publication: batches in the order of the log, and between them
    single messages that are retried."""

    def __init__(self, publication: Publication) -> None:
        self.publication = publication
        self.histories = Histories()
        # stream -> sequence of its last integration event, before the next new message
        self.last: dict[str, int] = {}
        self.until: int | None = None
        self.mark: int | None = None

    def begin(
        self, messages: Sequence[Message], *, after: int | None = None, until: int | None = None
    ) -> None:
        """A new batch. after, until: the positions between which it was read. If it does not begin
        where the last one ended, the last sequences are unknown."""
        self.histories.begin(messages)
        if after is None or after != self.until or self.mark != self.histories.mark:
            self.last.clear()
        self.until, self.mark = until, self.histories.mark

    def envelopes(self, message: Message) -> list[Envelope]:
        """Of a new message, in order. Raises the error of one that cannot be decoded."""
        previous = self.last.pop(message.stream, None)
        found = self._translate(message, previous)
        if found:
            previous = found[-1].sequence
        if previous is not None:
            self.last[message.stream] = previous
            if len(self.last) > KEPT_STREAMS:
                del self.last[next(iter(self.last))]
        return found

    def envelopes_again(self, message: Message) -> list[Envelope]:
        """Of a message that is retried, out of order."""
        return self._translate(message, None)

    def _translate(self, message: Message, previous: int | None) -> list[Envelope]:
        """previous: the sequence of the integration event before, if it is known."""
        if isinstance(message.body, Exception):
            raise message.body
        if type(message.body) not in self.publication.publish:
            return []  # its type was unknown when it was parked
        history = self.histories.of(message)
        publish = self.publication.publish[type(message.body)]
        events = results.integration_events(publish, publish(message.body, history))
        if not events:
            return []
        if previous is None:
            previous = self._last_sequence(history)
        first = message.version * PER_EVENT
        return [
            Envelope(
                id=_id(message.id, index),
                type=registry.published_name_of(event),
                subject=message.stream,
                position=message.position,
                time=message.recorded_at,
                correlation_id=message.metadata.correlation_id,
                causation_id=message.id,
                event=event,
                sequence=first + index,
                previous=first + index - 1 if index else previous,
                trace=message.metadata.trace,
                encoding=self.publication.encoding,
            )
            for index, event in enumerate(events)
        ]

    def _last_sequence(self, history: History) -> int:
        """The sequence of the last integration event before the end of this history; 0 if there is
        none."""
        for version in range(len(history) - 1, 0, -1):
            event = history[version - 1]
            if translate := self.publication.publish.get(type(event)):
                before = History(self.histories, history.stream, version, event)
                if events := translate(event, before):
                    return version * PER_EVENT + len(events) - 1
        return 0


def _id(event: UUID, index: int) -> UUID:
    """uuid5(event, str(index)). uuid_utils.compat has the same, but formats and parses the event's
    id on the way, which takes half of the time."""
    made = uuid_utils.uuid5(uuid_utils.UUID(int=event.int), str(index))
    return msgspec.convert(made.bytes, UUID)
