"""Streams: the newest first; and each as a timeline, with the state that it had at any version."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from eventstore import registry
from eventstore.models import Category, Event, Stream
from eventstore.postgres import rows

from . import folded, links, shown, veil
from .pages import PageAdmin
from .read_only import one_of

LAST = """
    SELECT stream, version, recorded_at
    FROM unnest(%s::text[]) AS listed(name)
    CROSS JOIN LATERAL (
        SELECT stream, version, recorded_at FROM eventstore_event
        WHERE stream = listed.name ORDER BY version DESC LIMIT 1
    ) AS last
"""

# Events of a stream on one page of its timeline.
STRETCH = 100


def _categories() -> Iterable[str]:
    return sorted(registry.aggregates())


def _of_category(queryset: QuerySet[Any], category: str) -> QuerySet[Any]:
    found: QuerySet[Any] = queryset.alias(category=Category("stream")).filter(category=category)
    return found


@admin.register(Stream)
class StreamAdmin(PageAdmin):
    list_display = ("name", "category", "last_version", "begun", "changed")
    list_filter = (one_of("category", "category", _categories, _of_category),)
    list_defer = ("data", "metadata")
    search_fields = ("stream",)
    search_help_text = "The beginning of a stream's name, such as order-0198; or the whole id of what it is about."
    nothing = "No stream matches. The search takes the beginning of a name, or a whole id."
    page_template = "admin/eventstore/stream.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Stream]:
        return Stream.objects.filter(version=1)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Along the index that finds them: by name when a name is searched for, else the newest first."""
        return ("stream", "version") if request.GET.get("q", "").strip() else ("-position",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Stream], search_term: str
    ) -> tuple[QuerySet[Stream], bool]:
        term = search_term.strip()
        return (queryset.filter(_named(term)) if term else queryset), False

    def adorn(self, page: Sequence[Any]) -> None:
        last = {stream: rest for stream, *rest in rows(LAST, [[each.stream for each in page]])}
        for each in page:
            each.last_version, each.last_recorded_at = last[each.stream]

    def url_of(self, row: Stream) -> str:
        return links.page("stream", row.stream)

    def find(self, request: HttpRequest, key: str) -> Stream | None:
        return Stream.objects.filter(stream=key, version=1).first()

    def subject_of(self, row: Stream) -> str:
        return row.stream

    def page(self, request: HttpRequest, found: Stream) -> dict[str, Any]:
        ((_, last, changed),) = rows(LAST, [[found.stream]])
        version = _asked_version(request, last)
        timeline = _timeline(request, found.stream, version)
        return {
            "title": "Stream",
            "category": _category_of(found.stream),
            "last": last,
            "begun": found.recorded_at,
            "changed": changed,
            "version": version,
            "versions": _versions(version, last),
            "state": folded.state(request, found.stream, version),
            "since": _asked_since(request, version),
            "changes": folded.changes(request, found.stream, _asked_since(request, version), version),
            "timeline": timeline,
            "earlier": timeline[0].event.version - 1 if timeline else 0,
            "later": timeline[-1].event.version + 1 if timeline and timeline[-1].event.version < last else 0,
        }

    @admin.display(description="stream")
    def name(self, stream: Stream) -> SafeString:
        return shown.short(stream.stream)

    def category(self, stream: Stream) -> str:
        return _category_of(stream.stream)

    @admin.display(description="version")
    def last_version(self, stream: Any) -> int:
        return int(stream.last_version)

    @admin.display(description="begun")
    def begun(self, stream: Stream) -> SafeString:
        return shown.time(stream.recorded_at)

    @admin.display(description="last event")
    def changed(self, stream: Any) -> SafeString:
        return shown.time(stream.last_recorded_at)


class Moment(NamedTuple):
    """An event on the timeline. cause: the one that led to it."""

    event: Event
    summary: str
    payload: str
    cause: Event | None


def _named(term: str) -> Q:
    """A whole id stands for the streams of every category about it; anything else is the beginning of a name."""
    if any(category.startswith(term.partition("-")[0]) for category in registry.aggregates()):
        return Q(stream__startswith=term)
    return Q(stream__in=links.streams_named(term))


def _category_of(stream: str) -> str:
    return stream.partition("-")[0]


def _asked_version(request: HttpRequest, last: int) -> int:
    asked = request.GET.get("version", "")
    return min(max(int(asked), 1), last) if asked.isascii() and asked.isdigit() and len(asked) < 10 else last


def _asked_since(request: HttpRequest, version: int) -> int:
    """An earlier version to compare with: the one before, unless another is asked for. 0: before the first event."""
    asked = request.GET.get("since", "")
    return min(int(asked), version) if asked.isascii() and asked.isdigit() and len(asked) < 10 else max(0, version - 1)


def _versions(version: int, last: int) -> Sequence[int]:
    """The first, the last, and those around this one; all of them when they are few."""
    near = range(max(1, version - 7), min(last, version + 7) + 1)
    return sorted({1, *near, last}) if last > 30 else range(1, last + 1)


def _timeline(request: HttpRequest, stream: str, version: int) -> list[Moment]:
    """The stretch of the stream that the version lies in."""
    begin = (version - 1) // STRETCH * STRETCH + 1
    stretch = Event.objects.filter(stream=stream, version__gte=begin, version__lt=begin + STRETCH)
    events = veil.rows(request, list(stretch.order_by("version")))
    causes = _causes(each.causation_id for each in events)
    return [
        Moment(each, shown.summary(each.data), shown.pretty(each.data), causes.get(each.causation_id))
        for each in events
    ]


def _causes(ids: Iterable[UUID | None]) -> Mapping[UUID | None, Event]:
    found = Event.objects.filter(id__in={each for each in ids if each}).defer("data", "metadata")
    return {event.id: event for event in found}
