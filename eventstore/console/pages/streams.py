"""Streams: the newest first; each stream as a timeline, with its state at any version."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_safe

from eventstore import codec, registry
from eventstore.console import finding, formatting, links, masking
from eventstore.console.actions import Button
from eventstore.console.detail import PageAdmin
from eventstore.console.names import category_of
from eventstore.console.pages import exports, stream_state
from eventstore.console.pages.exports import Export
from eventstore.console.read_only import ChoiceFilter
from eventstore.log import search
from eventstore.models import Category, Event, Stream
from eventstore.operations import export as exporting
from eventstore.postgres import rows

LAST = """
    SELECT stream, version, recorded_at
    FROM unnest(%s::text[]) AS listed(name)
    CROSS JOIN LATERAL (
        SELECT stream, version, recorded_at FROM eventstore_event
        WHERE stream = listed.name ORDER BY version DESC LIMIT 1
    ) AS last
"""

# Why a stream cannot be exported.
UNREADABLE = (registry.UnknownType, codec.Undecodable, exporting.NotExportable)

# Events on one page of a stream's timeline.
STRETCH = 100


class CategoryFilter(ChoiceFilter):
    title = parameter_name = "category"

    def offered(self) -> Iterable[str]:
        return sorted(registry.aggregates())

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        found: QuerySet[Any] = queryset.alias(category=Category("stream")).filter(category=value)
        return found


@admin.register(Stream)
class StreamAdmin(PageAdmin):
    list_display = ("name", "category", "last_version", "begun", "changed")
    list_filter = (CategoryFilter,)
    list_defer = ("data", "metadata")
    search_fields = ("stream",)
    search_help_text = (
        "The beginning of a stream's name, such as order-0198, or the id of an aggregate or, of an"
        " order or return, its last characters."
    )
    nothing = "No stream matches. The search takes the beginning of a name, or a full id."
    page_template = "admin/eventstore/stream.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Stream]:
        return Stream.objects.filter(version=1)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """In the order of the index in use: by name for a search, otherwise the newest first."""
        return ("stream", "version") if request.GET.get("q", "").strip() else ("-position",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Stream], search_term: str
    ) -> tuple[QuerySet[Stream], bool]:
        """A term that starts like a category is the beginning of a name; any other is an id, for
        the streams of every category."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if any(category.startswith(category_of(term)) for category in registry.aggregates()):
            return queryset.filter(stream__startswith=term), False
        return queryset.filter(stream__in=_names([term, *finding.identities(term)])), False

    def found_by(self, request: HttpRequest, terms: Sequence[str]) -> Iterable[QuerySet[Stream]]:
        rows = self.get_queryset(request).defer("data", "metadata")
        yield rows.filter(stream__in=_names(terms)).order_by("stream")

    def annotate(self, page: Sequence[Any]) -> None:
        last = {stream: rest for stream, *rest in rows(LAST, [[each.stream for each in page]])}
        for each in page:
            each.last_version, each.last_recorded_at = last[each.stream]

    def url_of(self, row: Stream) -> str:
        return links.page("stream", row.stream)

    def find(self, request: HttpRequest, key: str) -> Stream | None:
        found: Stream | None = self.get_object(request, key, "stream")
        return found

    def subject_of(self, row: Stream) -> str:
        return row.stream

    def page(self, request: HttpRequest, found: Stream) -> dict[str, Any]:
        ((_, last, changed),) = rows(LAST, [[found.stream]])
        version = _version(request, last)
        near = range(max(1, version - 7), min(last, version + 7) + 1)
        # The version to compare with, the one before by default; 0 is before the first event.
        since = _number(request.GET.get("since", ""))
        since = max(0, version - 1) if since is None else min(since, version)
        timeline = _timeline(request, found.stream, version)
        end = timeline[-1].event.version if timeline else last
        fixture = reverse("admin:eventstore_stream_fixture", args=[quote(found.stream)])
        newest_first = request.GET.get("order") == "newest"
        return {
            "title": "Stream",
            "category": category_of(found.stream),
            "subjects": finding.subjects(found.stream),
            "last": last,
            "buttons": [
                Button("Export test fixture", links.with_query(fixture, {"version": version}))
            ],
            "begun": found.recorded_at,
            "changed": changed,
            "version": version,
            # Links: the first, the last and those near this one; all if there are few.
            "versions": sorted({1, *near, last}) if last > 30 else range(1, last + 1),
            "state": stream_state.state(request, found.stream, version),
            "since": since,
            "changes": stream_state.changes(request, found.stream, since, version),
            "timeline": timeline[::-1] if newest_first else timeline,
            "newest_first": newest_first,
            "earlier": timeline[0].event.version - 1 if timeline else 0,
            "later": end + 1 if end < last else 0,
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
            export = export._replace(error=masking.error(request, error))
            return exports.page(request, context, export)
        return exports.page(request, context, export._replace(preview=preview))

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def given_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        context, export, version = self._fixture(request, object_id)

        def make(revealed: bool) -> HttpResponse:
            try:
                source = exporting.fixture(export.subject, version, revealed=revealed)
            except UNREADABLE as error:
                text = masking.error(request, error)
                return HttpResponse(text, status=409, content_type="text/plain")
            name = f"{exporting.name(export.subject)}.py"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return HttpResponse(
                source, content_type="text/x-python; charset=utf-8", headers=headers
            )

        return exports.file(request, context, export, make)

    def _fixture(self, request: HttpRequest, object_id: str) -> tuple[dict[str, Any], Export, int]:
        stream = self._find_or_404(request, object_id).stream
        ((_, last, _),) = rows(LAST, [[stream]])
        version = _version(request, last)
        address = reverse("admin:eventstore_stream_given", args=[quote(stream)])
        what = [("Stream", stream), ("Up to version", version), ("Fixture", exporting.name(stream))]
        export = Export(
            title="Export test fixture",
            subject=stream,
            what=what,
            address=links.with_query(address, {"version": version}),
            back=links.page("stream", stream, version=version),
        )
        return self.admin_site.each_context(request) | {"opts": self.opts}, export, version

    @admin.display(description="stream")
    def name(self, stream: Stream) -> SafeString:
        return formatting.short(stream.stream)

    def category(self, stream: Stream) -> str:
        return category_of(stream.stream)

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
    """An event on the timeline. changed: names of the state's fields."""

    event: Event
    summary: str
    payload: str
    changed: Sequence[str]
    cause: Event | None


def _names(terms: Sequence[str]) -> list[str]:
    return [name for term in terms for name in (term, *search.streams_named(term))]


def _version(request: HttpRequest, last: int) -> int:
    """The version in the query; the last one by default."""
    number = _number(request.GET.get("version", ""))
    return last if number is None else min(max(number, 1), last)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _timeline(request: HttpRequest, stream: str, version: int) -> list[Moment]:
    """The page of the timeline that contains the version."""
    begin = (version - 1) // STRETCH * STRETCH + 1
    stretch = Event.objects.filter(stream=stream, version__gte=begin, version__lt=begin + STRETCH)
    events = masking.rows(request, list(stretch.order_by("version")))
    ids = {each.causation_id for each in events if each.causation_id}
    causes: Mapping[UUID | None, Event] = {
        each.id: each for each in Event.objects.filter(id__in=ids).defer("data", "metadata")
    }
    changed = stream_state.changed_by(stream, begin, events[-1].version) if events else {}
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
