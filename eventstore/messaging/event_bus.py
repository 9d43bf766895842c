"""The event bus to which integration events are published: in this process, or a broker behind the
same interface."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.utils.module_loading import import_string

from eventstore import settings
from eventstore.subscriptions import JSON


class Envelope(NamedTuple):
    """An integration event with its metadata.

    id: the same each time it is published, so that subscribers can detect repeats. type: its stored
    name. subject: the stream that it is about. position: of its domain event in the log. sequence:
    its place in its stream, larger for each later one. previous: the sequence of the one before it,
    so that a consumer can detect a gap; 0 for the first. trace: the W3C trace context of the domain
    event. encoding: of the event on Kafka, JSON or AVRO.
    """

    id: UUID
    type: str
    subject: str
    position: int
    time: datetime
    correlation_id: UUID
    causation_id: UUID
    event: Any
    sequence: int = 0
    previous: int = 0
    trace: str = ""
    encoding: str = JSON


Handler = Callable[[Envelope], None]


class EventBus(Protocol):
    """Delivers at least once, in order for each subject. If publish raises, the subscription
    retries."""

    def publish(self, envelopes: Iterable[Envelope]) -> None: ...

    def subscribe(self, pattern: str, handler: Handler) -> None:
        """pattern: a stored name, or one with * such as `orders.*`."""

    def unsubscribe(self, pattern: str, handler: Handler) -> None: ...


class Subscribers:
    """Patterns and handlers, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[str, Handler]] = []

    def subscribe(self, pattern: str, handler: Handler) -> None:
        if (pattern, handler) not in self._subscribers:
            self._subscribers.append((pattern, handler))

    def unsubscribe(self, pattern: str, handler: Handler) -> None:
        if (pattern, handler) in self._subscribers:
            self._subscribers.remove((pattern, handler))

    def handlers_of(self, type_: str) -> Iterator[Handler]:
        for pattern, handler in tuple(self._subscribers):
            if fnmatchcase(type_, pattern):
                yield handler


class InProcessBus(Subscribers):
    """Calls its subscribers immediately, in the order in which they subscribed, in the
    subscription's transaction.

    So a subscriber's own writes to the database commit together with the subscription's cursor:
    exactly once.
    """

    def publish(self, envelopes: Iterable[Envelope]) -> None:
        if not self._subscribers:
            return
        for envelope in envelopes:
            for handler in self.handlers_of(envelope.type):
                handler(envelope)


@cache
def event_bus() -> EventBus:
    """The bus that settings.EVENTSTORE_EVENT_BUS names; one per process."""
    bus: EventBus = import_string(settings.event_bus())()
    return bus
