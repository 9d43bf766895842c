"""The way of events out to brokers, by relays, and back, by consumers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID, uuid5

from eventstore import registry
from eventstore.models import Event, Parked, Subscription
from eventstore.outbox import cursors
from eventstore.subscriptions import Consumer, Relay

# So many integration events of one domain event are recognized when they come back.
ENVELOPES = 8


class Carried(NamedTuple):
    """state: published, pending, or the status of the parked message."""

    relay: str
    state: str


class Hop(NamedTuple):
    """relays: those that carry the event to brokers. consumer: by which the command came that led
    to the event; "" for none. cause: the event of this log that the consumer has read."""

    relays: Sequence[Carried] = ()
    consumer: str = ""
    cause: UUID | None = None


def hops(events: Iterable[Event]) -> Mapping[UUID, Hop]:
    """By the ids of the events; without those that no broker has to do with. Three queries at most,
    none without relays and consumers."""
    found = list(events)
    carried, consumers = _carried(found), _consumers(found)
    # Under these ids a relay publishes what follows from an event.
    published = {
        uuid5(event.id, str(index)): event.id
        for event in (found if consumers else ())
        for index in range(ENVELOPES)
    }
    hops = {
        event.id: Hop(
            carried.get(event.position, ()),
            consumers.get(event.id, ""),
            published.get(event.causation_id) if event.causation_id else None,
        )
        for event in found
    }
    return {id_: hop for id_, hop in hops.items() if hop != Hop()}


def _carried(events: Sequence[Event]) -> dict[int, list[Carried]]:
    relays = {name: cursors.event_types_of(name) for name in registry.of_kind(Relay)}
    places = [each.position for each in events]
    if not relays or not places:
        return {}
    passed = dict(
        Subscription.objects.filter(name__in=list(relays)).values_list("name", "position")
    )
    parked = {
        (name, position): status
        for name, position, status in Parked.objects.filter(
            subscription__in=list(relays), position__in=places
        ).values_list("subscription", "position", "status")
    }
    found: dict[int, list[Carried]] = {}
    for event in events:
        for name, types in relays.items():
            if event.type in types:
                moved = "published" if event.position <= passed.get(name, 0) else "pending"
                state = parked.get((name, event.position), moved)
                found.setdefault(event.position, []).append(Carried(name, state))
    return found


def _consumers(events: Sequence[Event]) -> dict[UUID, str]:
    """Of events whose cause is not in the log."""
    known = {each.id for each in events}
    places = [
        each.position
        for each in events
        if each.causation_id is not None and each.causation_id not in known
    ]
    if not places or not registry.of_kind(Consumer):
        return {}
    actors = Event.objects.filter(position__in=places).values_list("id", "metadata")
    return {
        id_: actor.removeprefix("consumer:")
        for id_, metadata in actors
        if (actor := str(metadata.get("actor", ""))).startswith("consumer:")
    }
