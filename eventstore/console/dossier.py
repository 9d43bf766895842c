"""Everything about one id: its streams, its sagas, and the messages that are pending or parked for
it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest

from eventstore import codec, registry
from eventstore.commands import repository
from eventstore.log import search
from eventstore.models import Event, Parked, SagaState
from eventstore.postgres import rows
from eventstore.subscriptions import Commands, Consumer, Saga

from . import formatting, masking
from .actions import Button
from .diagrams import hops
from .diagrams.hops import Hop
from .names import saga_names

LONGEST = 500

# The outbox has no index by key: this reads what lies ahead of the hindmost subscription, up to a
# limit.
OUTGOING = """
    SELECT waiting.position, waiting.topic, waiting.type, waiting.created_at
    FROM (
        SELECT position, topic, type, key, created_at
        FROM eventstore_outbox
        WHERE position > (SELECT min(position) FROM eventstore_subscription WHERE name = ANY(%s))
        ORDER BY position
        LIMIT 10000
    ) AS waiting
    JOIN eventstore_subscription AS subscription ON subscription.name = waiting.topic
        AND waiting.position > subscription.position
    WHERE waiting.key = ANY(%s)
    ORDER BY waiting.position
"""


class Moment(NamedTuple):
    """hop: its way out to brokers, and back from one."""

    event: Event
    summary: str
    payload: str
    hop: Hop


class StreamSummary(NamedTuple):
    """A stream at its last version. fields: of its state, as text; none when today's code cannot
    read it."""

    stream: str
    version: int
    fields: Sequence[tuple[str, str]]


class Outgoing(NamedTuple):
    """A message that its subscription has not taken yet."""

    position: int
    topic: str
    type: str
    created_at: datetime


class Pending(NamedTuple):
    """outgoing: messages that wait in the outbox. parked: those that failed, wait behind one that
    failed, or whose call is in progress."""

    outgoing: Sequence[Outgoing]
    parked: Sequence[Parked]

    def __bool__(self) -> bool:
        return bool(self.outgoing or self.parked)


class Process(NamedTuple):
    """buttons: the actions that the saga's present step allows."""

    saga: SagaState
    buttons: Sequence[Button]


class Dossier(NamedTuple):
    """timeline: the first LONGEST events of all streams. is_cut: there are more."""

    timeline: Sequence[Moment]
    is_cut: bool
    streams: Sequence[StreamSummary]
    processes: Sequence[Process]
    pending: Pending

    @property
    def has_hops(self) -> bool:
        return any(each.hop != Hop() for each in self.timeline)

    @property
    def correlations(self) -> Sequence[UUID]:
        """The correlations of its events, the oldest first."""
        return list(dict.fromkeys(each.event.correlation_id for each in self.timeline))


def about(request: HttpRequest, identity: str) -> Dossier:
    """A fixed number of queries."""
    names = search.streams_named(identity)
    events = masking.rows(
        request, list(Event.objects.filter(stream__in=names).order_by("position")[: LONGEST + 1])
    )
    by_broker = hops.hops(events[:LONGEST])
    admin_of_sagas: Any = admin.site.get_model_admin(SagaState)
    sagas = SagaState.objects.filter(saga__in=saga_names(), key=identity).order_by("saga")
    return Dossier(
        timeline=[
            Moment(
                each,
                formatting.summary(each.data),
                formatting.pretty(each.data),
                by_broker.get(each.id, Hop()),
            )
            for each in events[:LONGEST]
        ],
        is_cut=len(events) > LONGEST,
        streams=_streams(request, list(dict.fromkeys(each.stream for each in events))),
        processes=[Process(each, admin_of_sagas.action_buttons(request, each)) for each in sagas],
        pending=pending(request, identity),
    )


def pending(request: HttpRequest, identity: str) -> Pending:
    """What waits for this id; three queries."""
    keys = [*search.streams_named(identity), identity]
    parked = Parked.objects.filter(subscription__in=list(registry.subscriptions()), key__in=keys)
    first = parked.order_by("subscription", "position").defer("traceback")[:LONGEST]
    receivers = [name for kind in (Commands, Saga, Consumer) for name in registry.of_kind(kind)]
    outgoing = [Outgoing(*row) for row in rows(OUTGOING, [receivers, keys])]
    return Pending(outgoing, masking.rows(request, list(first)))


def _streams(request: HttpRequest, names: Sequence[str]) -> list[StreamSummary]:
    try:
        loaded = repository.load(names)
    except (registry.UnknownType, codec.Undecodable):
        return [StreamSummary(name, 0, ()) for name in names]
    found = []
    for name, each in loaded.items():
        state = masking.struct(request, each.state)
        fields = [
            (field, value if isinstance(value, str) else formatting.in_a_line(value))
            for field, value in state.items()
        ]
        found.append(StreamSummary(name, each.version, fields))
    return found
