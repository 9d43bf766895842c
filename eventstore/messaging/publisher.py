"""Translate a batch of domain events into integration events and publish them on the event bus."""

from collections.abc import Iterator, Sequence
from uuid import uuid5

from eventstore import log, registry
from eventstore.messages import Event, Message
from eventstore.subscriptions import Publication

from .event_bus import Envelope, event_bus


def publish(publication: Publication, messages: Sequence[Message]) -> None:
    # A bus without subscribers never iterates over the envelopes, so they are not made.
    event_bus().publish(_envelopes(publication, messages))


def _envelopes(publication: Publication, messages: Sequence[Message]) -> Iterator[Envelope]:
    histories: dict[str, list[Event]] = {message.stream: [] for message in messages}
    for stream, _, event in log.read_newer(dict.fromkeys(histories, 0)):
        histories[stream].append(event)
    for message in messages:
        history = histories[message.stream][: message.version]
        translate = publication.publish[type(message.body)]
        for index, published in enumerate(translate(message.body, history)):
            yield Envelope(
                id=uuid5(message.id, str(index)),
                type=registry.published_name_of(published),
                subject=message.stream,
                position=message.position,
                time=message.recorded_at,
                correlation_id=message.metadata.correlation_id,
                causation_id=message.id,
                event=published,
            )
