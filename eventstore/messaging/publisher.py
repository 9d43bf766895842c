"""Translate a batch of domain events into integration events and publish them on the event bus."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import uuid5

from eventstore import log, registry
from eventstore.messages import Event, Message
from eventstore.subscriptions import Publication

from .event_bus import Envelope, event_bus

# Upper bound for the integration events of one domain event.
PER_EVENT = 1000


def publish(publication: Publication, messages: Sequence[Message]) -> None:
    # A bus without subscribers never iterates over the envelopes, so they are not made.
    event_bus().publish(_envelopes(publication, messages))


def _envelopes(publication: Publication, messages: Sequence[Message]) -> Iterator[Envelope]:
    histories = read_histories(messages)
    for message in messages:
        yield from envelopes(publication, message, histories[message.stream][: message.version])


def read_histories(messages: Sequence[Message]) -> Mapping[str, list[Event]]:
    """The events of each message's stream."""
    histories: dict[str, list[Event]] = {message.stream: [] for message in messages}
    for stream, _, event in log.read_newer(dict.fromkeys(histories, 0)):
        histories[stream].append(event)
    return histories


def envelopes(
    publication: Publication, message: Message, history: Sequence[Event]
) -> Iterator[Envelope]:
    """history: the events of the message's stream, up to the message."""
    events = publication.publish[type(message.body)](message.body, history)
    previous = _last_sequence(publication, history[:-1]) if events else 0
    for index, event in enumerate(events):
        sequence = message.version * PER_EVENT + index
        yield Envelope(
            id=uuid5(message.id, str(index)),
            type=registry.published_name_of(event),
            subject=message.stream,
            position=message.position,
            time=message.recorded_at,
            correlation_id=message.metadata.correlation_id,
            causation_id=message.id,
            event=event,
            sequence=sequence,
            previous=previous,
            trace=message.metadata.trace,
        )
        previous = sequence


def _last_sequence(publication: Publication, history: Sequence[Event]) -> int:
    """The sequence of the last integration event of this history; 0 if there is none."""
    for version in range(len(history), 0, -1):
        event = history[version - 1]
        if (translate := publication.publish.get(type(event))) and (
            events := translate(event, history[:version])
        ):
            return version * PER_EVENT + len(events) - 1
    return 0
