"""Streams: the newest first; and each as a timeline, with the state that it had at any version."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_safe

from eventstore import codec, registry
from eventstore.log import search
from eventstore.models import Category, Event, Stream
from eventstore.operations import export as exporting
from eventstore.postgres import rows

from . import exports, formatting, links, masking
from . import stream_state as folded
from .actions import Button
from .detail import PageAdmin
from .exports import Export
from .read_only import one_of

LAST = """
    SELECT stream, version, recorded_at
    FROM unnest(%s::text[]) AS listed(name)
    CROSS JOIN LATERAL (
        SELECT stream, version, recorded_at FROM eventstore_event
        WHERE stream = listed.name ORDER BY version DESC LIMIT 1
    ) AS last
"""

# What keeps today's code from making anything of a stream.
UNREADABLE = (registry.UnknownType, codec.Undecodable, exporting.NotExportable)

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
    search_help_text = (
        "The beginning of a stream's name, such as order-0198; or the whole id of what it is about."
    )
    nothing = "No stream matches. The search takes the beginning of a name, or a whole id."
    page_template = "admin/eventstore/stream.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Stream]:
        return Stream.objects.filter(version=1)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Along the index that finds them: by name when a name is searched for, else the newest
        first."""
        return ("stream", "version") if request.GET.get("q", "").strip() else ("-position",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Stream], search_term: str
    ) -> tuple[QuerySet[Stream], bool]:
        term = search_term.strip()
        return (queryset.filter(_named(term)) if term else queryset), False

    def annotate(self, page: Sequence[Any]) -> None:
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
        newest_first = request.GET.get("order") == "newest"
        return {
            "title": "Stream",
            "category": _category_of(found.stream),
            "last": last,
            "buttons": [Button("Export as a test's fixture", _fixture_of(found.stream, version))],
            "begun": found.recorded_at,
            "changed": changed,
            "version": version,
            "versions": _versions(version, last),
            "state": folded.state(request, found.stream, version),
            "since": _asked_since(request, version),
            "changes": folded.changes(
                request, found.stream, _asked_since(request, version), version
            ),
            "timeline": timeline[::-1] if newest_first else timeline,
            "newest_first": newest_first,
            "earlier": timeline[0].event.version - 1 if timeline else 0,
            "later": timeline[-1].event.version + 1
            if timeline and timeline[-1].event.version < last
            else 0,
        }

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view
        return [
            path(
                "<path:object_id>/fixture/",
                guarded(self.fixture_view),
                name="eventstore_stream_fixture",
            ),
            path(
                "<path:object_id>/fixture/given.py",
                guarded(self.given_view),
                name="eventstore_stream_given",
            ),
            *super().get_urls(),
        ]

    @method_decorator(require_safe)
    def fixture_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        context, export, version = self._fixture(request, object_id)
        try:
            preview = exporting.fixture(export.subject, version, revealed=False)
        except UNREADABLE as error:
            return exports.page(
                request, context, export._replace(trouble=masking.trouble(request, error))
            )
        return exports.page(request, context, export._replace(preview=preview))

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def given_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        context, export, version = self._fixture(request, object_id)
        return exports.file(
            request,
            context,
            export,
            lambda revealed: _given(request, export.subject, version, revealed),
        )

    def _fixture(self, request: HttpRequest, object_id: str) -> tuple[dict[str, Any], Export, int]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        stream = unquote(object_id)
        found = None if "\x00" in stream else self.find(request, stream)
        if found is None:
            raise Http404
        ((_, last, _),) = rows(LAST, [[stream]])
        version = _asked_version(request, last)
        address = reverse("admin:eventstore_stream_given", args=[quote(stream)])
        export = Export(
            title="Export as a test's fixture",
            subject=stream,
            what=[
                ("Stream", stream),
                ("Up to version", version),
                ("Fixture", exporting.name(stream)),
            ],
            address=links.with_query(address, {"version": version}),
            back=links.page("stream", stream, version=version),
        )
        return self.admin_site.each_context(request) | {"opts": self.opts}, export, version

    @admin.display(description="stream")
    def name(self, stream: Stream) -> SafeString:
        return formatting.short(stream.stream)

    def category(self, stream: Stream) -> str:
        return _category_of(stream.stream)

    @admin.display(description="version")
    def last_version(self, stream: Any) -> int:
        return int(stream.last_version)

    @admin.display(description="begun")
    def begun(self, stream: Stream) -> SafeString:
        return formatting.time(stream.recorded_at)

    @admin.display(description="last event")
    def changed(self, stream: Any) -> SafeString:
        return formatting.time(stream.last_recorded_at)


class Moment(NamedTuple):
    """An event on the timeline. changed: fields of the state. cause: the event that led to it."""

    event: Event
    summary: str
    payload: str
    changed: Sequence[str]
    cause: Event | None


def _given(request: HttpRequest, stream: str, version: int, revealed: bool) -> HttpResponse:
    try:
        source = exporting.fixture(stream, version, revealed=revealed)
    except UNREADABLE as error:
        return HttpResponse(masking.trouble(request, error), status=409, content_type="text/plain")
    headers = {"Content-Disposition": f'attachment; filename="{exporting.name(stream)}.py"'}
    return HttpResponse(source, content_type="text/x-python; charset=utf-8", headers=headers)


def _named(term: str) -> Q:
    """A whole id stands for the streams of every category about it; anything else is the beginning
    of a name."""
    if any(category.startswith(term.partition("-")[0]) for category in registry.aggregates()):
        return Q(stream__startswith=term)
    return Q(stream__in=search.streams_named(term))


def _fixture_of(stream: str, version: int) -> str:
    return links.with_query(
        reverse("admin:eventstore_stream_fixture", args=[quote(stream)]), {"version": version}
    )


def _category_of(stream: str) -> str:
    return stream.partition("-")[0]


def _asked_version(request: HttpRequest, last: int) -> int:
    asked = request.GET.get("version", "")
    return (
        min(max(int(asked), 1), last)
        if asked.isascii() and asked.isdigit() and len(asked) < 10
        else last
    )


def _asked_since(request: HttpRequest, version: int) -> int:
    """An earlier version to compare with: the one before, unless another is asked for. 0: before
    the first event."""
    asked = request.GET.get("since", "")
    return (
        min(int(asked), version)
        if asked.isascii() and asked.isdigit() and len(asked) < 10
        else max(0, version - 1)
    )


def _versions(version: int, last: int) -> Sequence[int]:
    """The first, the last, and those around this one; all of them when they are few."""
    near = range(max(1, version - 7), min(last, version + 7) + 1)
    return sorted({1, *near, last}) if last > 30 else range(1, last + 1)


def _timeline(request: HttpRequest, stream: str, version: int) -> list[Moment]:
    """The stretch of the stream that the version lies in."""
    begin = (version - 1) // STRETCH * STRETCH + 1
    stretch = Event.objects.filter(stream=stream, version__gte=begin, version__lt=begin + STRETCH)
    events = masking.rows(request, list(stretch.order_by("version")))
    causes = _causes(each.causation_id for each in events)
    changed = folded.changed_by(stream, begin, events[-1].version) if events else {}
    return [
        Moment(
            each,
            formatting.summary(each.data),
            formatting.pretty(each.data),
            changed.get(each.version, ()),
            causes.get(each.causation_id),
        )
        for each in events
    ]


def _causes(ids: Iterable[UUID | None]) -> Mapping[UUID | None, Event]:
    found = Event.objects.filter(id__in={each for each in ids if each}).defer("data", "metadata")
    return {event.id: event for event in found}
