"""Which events are looked for: by what they are about, their type, when they were recorded; always
along an index."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from eventstore import registry
from eventstore.aggregate import stream_name
from eventstore.models import Event
from eventstore.postgres import rows

# The log has no index by time: it is nearly in the order of time, so it is cut in halves along its
# primary key.
POSITION_AT = """
    WITH RECURSIVE narrowed(low, high) AS (
        SELECT coalesce((SELECT position FROM eventstore_event ORDER BY position LIMIT 1), 0),
               coalesce((SELECT position FROM eventstore_event ORDER BY position DESC
                   LIMIT 1) + 1, 0)
        UNION ALL
        SELECT CASE WHEN probe.recorded_at < %s THEN probe.position + 1 ELSE low END,
               CASE WHEN probe.recorded_at < %s THEN high ELSE (low + high) / 2 END
        FROM narrowed
        CROSS JOIN LATERAL (
            SELECT position, recorded_at
            FROM eventstore_event
            WHERE position >= (low + high) / 2
            ORDER BY position
            LIMIT 1
        ) AS probe
        WHERE low < high
    )
    SELECT low FROM narrowed WHERE low >= high
"""
# Of two transactions, the one with the earlier position may have been recorded so much later.
SLACK = timedelta(seconds=5)


class EventFilter(NamedTuple):
    """term: the id of an event, of a correlation, of what streams are about, or the whole name of a
    stream.

    since: the first moment that is wanted. until: the first that is not.
    """

    term: str = ""
    type: str = ""
    since: datetime | None = None
    until: datetime | None = None


class NotATime(argparse.ArgumentTypeError):
    """A text that is no time; a command line tells the sentence as it is."""


def wanted(query: Mapping[str, str]) -> EventFilter:
    """As an address says it. Raises NotATime."""
    since, until = (query.get(name, "").strip() for name in ("since", "until"))
    return EventFilter(
        query.get("q", "").strip(),
        query.get("type", ""),
        time(since) if since else None,
        time(until) if until else None,
    )


def events(wanted: EventFilter) -> QuerySet[Event]:
    found = Event.objects.all()
    if wanted.term:
        found = found.filter(about(wanted.term))
    if wanted.type:
        found = found.filter(type=wanted.type)
    return recorded_between(found, wanted.since, wanted.until)


def about(term: str) -> Q:
    """Every part of it has an index of its own. PostgreSQL takes no NUL, so nothing is named by
    one."""
    if "\x00" in term:
        return Q(position=None)
    streams = Q(stream__in=[term, *streams_named(term)])
    by_id = uuid(term)
    return streams | Q(id=by_id) | Q(correlation_id=by_id) if by_id else streams


def recorded_between(
    found: QuerySet[Any], since: datetime | None, until: datetime | None
) -> QuerySet[Any]:
    if since is not None:
        found = found.filter(position__gte=position_at(since - SLACK), recorded_at__gte=since)
    if until is not None:
        found = found.filter(position__lt=position_at(until + SLACK), recorded_at__lt=until)
    return found


def position_at(at: datetime) -> int:
    """The first position from which on events were recorded at that time or later; one query."""
    return int(rows(POSITION_AT, [at, at])[0][0])


def streams_named(identity: str) -> Sequence[str]:
    """The names that a stream about this may have, one for each category."""
    return [stream_name(category, identity) for category in registry.aggregates()]


def uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None


def time(text: str) -> datetime:
    """Without a zone it is meant in the project's. Raises NotATime."""
    try:
        parsed = parse_datetime(text)
    except ValueError:
        parsed = None
    if parsed is None or not 1970 <= parsed.year < 9999:
        raise NotATime(f"{text!r} is no time like 2026-11-24T08:00:00Z")
    return parsed if timezone.is_aware(parsed) else timezone.make_aware(parsed)
