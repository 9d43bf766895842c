"""Search events by subject, type and time of recording, always by an index."""

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

# The log has no index by time. It is nearly in the order of time, so this is a binary search along
# its primary key.
POSITION_AT = """
    WITH RECURSIVE narrowed(low, high) AS (
        SELECT coalesce((SELECT position FROM eventstore_event ORDER BY position LIMIT 1), 0),
               coalesce(
                   (SELECT position FROM eventstore_event ORDER BY position DESC LIMIT 1) + 1, 0
               )
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
# Of two transactions, the one with the lower position may be recorded later, by up to this much.
SLACK = timedelta(seconds=5)


class EventFilter(NamedTuple):
    """term: an event id, a correlation id, the identity part of stream names, or a whole stream
    name.

    since: inclusive. until: exclusive.
    """

    term: str = ""
    type: str = ""
    since: datetime | None = None
    until: datetime | None = None


class NotATime(argparse.ArgumentTypeError):
    """The text is not a time. A command line prints the message as it is."""


def wanted(query: Mapping[str, str]) -> EventFilter:
    """The filter from a URL's query parameters q, type, since and until. Raises NotATime."""
    since, until = (query.get(name, "").strip() for name in ("since", "until"))
    return EventFilter(
        query.get("q", "").strip(),
        query.get("type", ""),
        time(since) if since else None,
        time(until) if until else None,
    )


def events(filter: EventFilter) -> QuerySet[Event]:
    found = Event.objects.all()
    if filter.term:
        found = found.filter(about(filter.term))
    if filter.type:
        found = found.filter(type=filter.type)
    return recorded_between(found, filter.since, filter.until)


def about(term: str) -> Q:
    """Events whose id, correlation or stream is this term. Each part of the condition has its own
    index. PostgreSQL stores no NUL character, so a term with one matches nothing."""
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
    """The first position whose event was recorded at that time or later; one query."""
    return int(rows(POSITION_AT, [at, at])[0][0])


def streams_named(identity: str) -> Sequence[str]:
    """The possible stream names for an identity, one per category."""
    return [stream_name(category, identity) for category in registry.aggregates()]


def uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None


def position(term: str) -> int | None:
    """A position of the log."""
    return int(term) if term.isascii() and term.isdigit() and len(term) < 19 else None


def time(text: str) -> datetime:
    """A time without a zone is in the project's time zone. Raises NotATime."""
    try:
        parsed = parse_datetime(text)
    except ValueError:
        parsed = None
    if parsed is None or not 1970 <= parsed.year < 9999:
        raise NotATime(f"invalid time {text!r}: expected a time like 2026-11-24T08:00:00Z")
    return parsed if timezone.is_aware(parsed) else timezone.make_aware(parsed)
