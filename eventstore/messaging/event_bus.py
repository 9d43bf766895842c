"""Where integration events go out: publish, subscribe, unsubscribe; here in one process, with a
broker the same."""

from collections.abc import Callable, Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.utils.module_loading import import_string

from eventstore import settings


class Envelope(NamedTuple):
    """An integration event on its way. id: the same for every time it is published, so that who
    hears can tell repeats.

    type: its stored name. subject: the stream it is about. position: of the domain event behind it
    in the log. sequence: its place in its stream's publication, larger for each later one.
    previous: the sequence of the one before it, so that a consumer can tell what came too early; 0
    for the first. trace: the W3C trace context of the domain event.
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


Handler = Callable[[Envelope], None]


class EventBus(Protocol):
    """At least once, in order for each subject. What publish raises, the subscription tries
    again."""

    def publish(self, envelopes: Iterable[Envelope]) -> None: ...

    def subscribe(self, pattern: str, handler: Handler) -> None:
        """pattern: a stored name, or one with * such as `orders.*`."""

    def unsubscribe(self, pattern: str, handler: Handler) -> None: ...


class InProcessBus:
    """Calls its subscribers at once, in the order in which they came, within the subscription's
    transaction.

    A subscriber's own writes to the database so commit together with the subscription's cursor:
    exactly once.
    """

    def __init__(self) -> None:
        self._subscribers: list[tuple[str, Handler]] = []

    def publish(self, envelopes: Iterable[Envelope]) -> None:
        if not self._subscribers:
            return
        for envelope in envelopes:
            for pattern, handler in tuple(self._subscribers):
                if fnmatchcase(envelope.type, pattern):
                    handler(envelope)

    def subscribe(self, pattern: str, handler: Handler) -> None:
        if (pattern, handler) not in self._subscribers:
            self._subscribers.append((pattern, handler))

    def unsubscribe(self, pattern: str, handler: Handler) -> None:
        if (pattern, handler) in self._subscribers:
            self._subscribers.remove((pattern, handler))


@cache
def event_bus() -> EventBus:
    """The bus that settings.EVENTSTORE_EVENT_BUS names; one for each process."""
    bus: EventBus = import_string(settings.event_bus())()
    return bus
