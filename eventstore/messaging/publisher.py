"""Translate a batch of domain events into integration events and put them on the event bus."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import uuid5

from eventstore import log, registry
from eventstore.messages import Event, Message
from eventstore.subscriptions import Publication

from .event_bus import Envelope, event_bus


def publish(publication: Publication, messages: Sequence[Message]) -> None:
    """Lazily: a bus that nobody listens to never asks for the envelopes, and then they are not
    made."""
    event_bus().publish(_all_envelopes(publication, messages))


def _all_envelopes(publication: Publication, messages: Sequence[Message]) -> Iterator[Envelope]:
    histories = _histories(messages)
    for message in messages:
        yield from _envelopes(publication, message, histories[message.stream][: message.version])


def _histories(messages: Sequence[Message]) -> Mapping[str, list[Event]]:
    histories: dict[str, list[Event]] = {message.stream: [] for message in messages}
    for stream, _, event in log.read_newer(dict.fromkeys(histories, 0)):
        histories[stream].append(event)
    return histories


def _envelopes(
    publication: Publication, message: Message, history: Sequence[Event]
) -> Iterator[Envelope]:
    for index, event in enumerate(publication.publish[type(message.body)](message.body, history)):
        yield Envelope(
            id=uuid5(message.id, str(index)),
            type=registry.published_name_of(event),
            subject=message.stream,
            position=message.position,
            time=message.recorded_at,
            correlation_id=message.metadata.correlation_id,
            causation_id=message.id,
            event=event,
        )
