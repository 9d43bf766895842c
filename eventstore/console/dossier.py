"""All that the log and the machinery know about one thing: its streams, processes, and what is
still under way."""

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
from eventstore.subscriptions import Commands, Saga

from . import formatting, masking
from .actions import Button

LONGEST = 500

# The outbox has no index by key: what lies ahead of the hindmost subscription is looked through,
# and no more than so much.
OWED = """
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
    event: Event
    summary: str
    payload: str


class Standing(NamedTuple):
    """A stream as it stands now. fields: of its state, for people; none when today's code cannot
    read it."""

    stream: str
    version: int
    fields: Sequence[tuple[str, str]]


class Owed(NamedTuple):
    position: int
    topic: str
    type: str
    created_at: datetime


class Process(NamedTuple):
    """buttons: what a person may tell it at present."""

    saga: SagaState
    buttons: Sequence[Button]


class Dossier(NamedTuple):
    """timeline: the first LONGEST events, of all streams. owed: on their way to a context or a
    saga."""

    timeline: Sequence[Moment]
    is_cut: bool
    standings: Sequence[Standing]
    processes: Sequence[Process]
    owed: Sequence[Owed]
    parked: Sequence[Parked]

    @property
    def correlations(self) -> Sequence[UUID]:
        """The business transactions that it had a part in, the oldest first."""
        return list(dict.fromkeys(each.event.correlation_id for each in self.timeline))


def about(request: HttpRequest, identity: str) -> Dossier:
    """A number of queries that does not grow with it."""
    names = search.streams_named(identity)
    events = masking.rows(
        request, list(Event.objects.filter(stream__in=names).order_by("position")[: LONGEST + 1])
    )
    return Dossier(
        timeline=[
            Moment(each, formatting.summary(each.data), formatting.pretty(each.data))
            for each in events[:LONGEST]
        ],
        is_cut=len(events) > LONGEST,
        standings=_standings(request, list(dict.fromkeys(each.stream for each in events))),
        processes=_processes(request, identity),
        owed=_owed([*names, identity]),
        parked=masking.rows(request, list(_parked([*names, identity]))),
    )


def _standings(request: HttpRequest, names: Sequence[str]) -> list[Standing]:
    try:
        folded = repository.load(names)
    except (registry.UnknownType, codec.Undecodable):
        return [Standing(name, 0, ()) for name in names]
    return [
        Standing(name, each.version, _fields(masking.struct(request, each.state)))
        for name, each in folded.items()
    ]


def _fields(state: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _in_a_line(value)) for name, value in state.items()]


def _in_a_line(value: Any) -> str:
    return value if isinstance(value, str) else formatting.in_a_line(value)


def _processes(request: HttpRequest, key: str) -> list[Process]:
    names = [name for name, each in registry.subscriptions().items() if isinstance(each, Saga)]
    registered: Any = admin.site.get_model_admin(SagaState)
    found = SagaState.objects.filter(saga__in=names, key=key).order_by("saga")
    return [Process(each, registered.hands(request, each)) for each in found]


def _owed(keys: Sequence[str]) -> list[Owed]:
    subscriptions = [
        name for name, each in registry.subscriptions().items() if isinstance(each, Commands | Saga)
    ]
    return [Owed(*row) for row in rows(OWED, [subscriptions, list(keys)])]


def _parked(keys: Sequence[str]) -> Any:
    found = Parked.objects.filter(subscription__in=list(registry.subscriptions()), key__in=keys)
    return found.order_by("subscription", "position").defer("traceback")[:LONGEST]
