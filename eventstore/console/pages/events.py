"""Events: the log, newest first; each event with its cause, its effects and its correlation."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_safe

from eventstore import codec, registry
from eventstore.console import finding, formatting, links, masking
from eventstore.console.actions import Button
from eventstore.console.detail import PageAdmin
from eventstore.console.diagrams import causation
from eventstore.console.names import identity_of, saga_names
from eventstore.console.pages import exports
from eventstore.console.pages.exports import Export
from eventstore.console.read_only import LONGEST_LIST, ChoiceFilter, TimeFilter
from eventstore.log import search
from eventstore.models import Event, SagaState
from eventstore.operations import export as exporting

EFFECTS = 100

# The filters of the list, which an export uses too.
LABELS = {"q": "About", "type": "Type", "since": "From", "until": "To before"}


class TypeFilter(ChoiceFilter):
    title = parameter_name = "type"

    def offered(self) -> Iterable[str]:
        names = {name for table in registry.wiring().EVENTS for name in table}
        return sorted(names | set(registry.renamed()))


class RecordedFilter(TimeFilter):
    title = "time"

    def narrow(
        self, queryset: QuerySet[Any], since: datetime | None, until: datetime | None
    ) -> QuerySet[Any]:
        return search.recorded_between(queryset, since, until)


@admin.register(Event)
class EventAdmin(PageAdmin):
    list_display = ("at_position", "type", "recorded", "in_stream", "version", "correlation")
    narrow = 2
    list_display_links = ("at_position",)
    list_filter = (TypeFilter, RecordedFilter)
    list_defer = ("data", "metadata")
    ordering = ("-position",)
    search_fields = ("stream",)
    search_help_text = (
        "The id of an event, of a correlation or of an aggregate, or the full name of a stream."
    )
    nothing = "No event matches. The search takes full ids and names; it does not search payloads."
    page_template = "admin/eventstore/event.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        term = search_term.strip()
        return (queryset.filter(search.about(term)) if term else queryset), False

    def found_by(self, request: HttpRequest, terms: Sequence[str]) -> Iterable[QuerySet[Event]]:
        """By id, by position, or the first events of a correlation."""
        rows = Event.objects.defer("data", "metadata")
        if by_id := search.uuid(terms[0]):
            yield rows.filter(id=by_id)
            yield rows.filter(correlation_id=by_id).order_by("position")
        elif (position := search.position(terms[0])) is not None:
            yield rows.filter(position=position)

    def find(self, request: HttpRequest, key: str) -> Event | None:
        """By id or by position."""
        by_id = search.uuid(key)
        return Event.objects.filter(id=by_id).first() if by_id else super().find(request, key)

    def subject_of(self, row: Event) -> str:
        return f"event {row.position}"

    def address_of(self, row: Event) -> str:
        return links.page("event", row.position)

    def page(self, request: HttpRequest, found: Event) -> dict[str, Any]:
        # As today's class decodes it. Read again, because the page's own row is masked.
        stored = Event.objects.get(position=found.position)
        data = codec.encode_json(stored.data).decode()
        try:
            message = registry.decode(stored.type, stored.schema_version, data)
        except (registry.UnknownType, codec.Undecodable) as error:
            decoded = {"error": masking.error(request, error)}
        else:
            body = formatting.pretty(masking.struct(request, message))
            decoded = {"by": type(message).__name__, "message": body}
        effects = Event.objects.filter(correlation_id=found.correlation_id, causation_id=found.id)
        return {
            "cause": (
                Event.objects.filter(id=found.causation_id).first() if found.causation_id else None
            ),
            "effects": effects.order_by("position")[:EFFECTS],
            "correlation": causation.correlation(found.correlation_id),
            "subjects": finding.subjects(found.stream),
            "data": formatting.pretty(found.data),
            "metadata": formatting.pretty(found.metadata),
            "decoded": decoded,
        }

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view
        return [
            path("export/", guarded(self.export_view), name="eventstore_event_export"),
            path("export/events.ndjson", guarded(self.ndjson_view), name="eventstore_event_ndjson"),
            path(
                "correlation/<uuid:correlation_id>/",
                guarded(self.correlation_view),
                name="eventstore_event_correlation",
            ),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        export = Button(
            "Export", links.with_query(reverse("admin:eventstore_event_export"), _filters(request))
        )
        return super().changelist_view(request, {"buttons": [export]} | (extra_context or {}))

    @method_decorator(require_safe)
    def correlation_view(self, request: HttpRequest, correlation_id: UUID) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = causation.correlation(correlation_id)
        if not found.steps:
            raise Http404
        events = [step.event for step in found.steps]
        identities = {identity_of(each.stream) for each in events}
        sagas = SagaState.objects.filter(saga__in=saga_names(), key__in=identities)
        took = events[-1].recorded_at - events[0].recorded_at
        context = self.admin_site.each_context(request) | {
            "title": "Correlation",
            "subtitle": str(correlation_id),
            "opts": self.opts,
            "correlation": found,
            "lanes": [lane.name for lane in found.picture.lanes],
            "begun": events[0].recorded_at,
            "took": formatting.age(max(0.0, took.total_seconds())),
            "streams": list(dict.fromkeys(each.stream for each in events)),
            "sagas": sagas.order_by("saga", "key"),
        }
        return TemplateResponse(request, "admin/eventstore/correlation_page.html", context)

    @method_decorator(require_safe)
    def export_view(self, request: HttpRequest) -> HttpResponse:
        return exports.page(request, *self._export(request))

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def ndjson_view(self, request: HttpRequest) -> HttpResponseBase:
        context, export = self._export(request)
        if export.error:
            return HttpResponseBadRequest(export.error, content_type="text/plain")

        def make(revealed: bool) -> HttpResponseBase:
            lines = exporting.lines(search.wanted(request.GET), revealed=revealed)
            headers = {"Content-Disposition": 'attachment; filename="events.ndjson"'}
            return StreamingHttpResponse(
                lines, content_type="application/x-ndjson", headers=headers
            )

        return exports.file(request, context, export, make)

    def _export(self, request: HttpRequest) -> tuple[dict[str, Any], Export]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        filters = _filters(request)
        export = Export(
            title="Export of events",
            subject="events",
            what=[(LABELS[name], value) for name, value in filters.items()]
            or [("Events", "the whole log")],
            address=links.with_query(reverse("admin:eventstore_event_ndjson"), filters),
            back=links.listing("event", **filters),
        )
        context = self.admin_site.each_context(request) | {"opts": self.opts}
        try:
            # In the order of the list, so that the count uses the list's index.
            found = search.events(search.wanted(filters)).order_by("-position")
            count = found[: LONGEST_LIST + 1].count()
        except search.NotATime as error:
            return context, export._replace(error=str(error))
        many = f"more than {LONGEST_LIST}" if count > LONGEST_LIST else count
        return context, export._replace(what=[*export.what, ("Events", many)])

    @admin.display(description="position")
    def at_position(self, event: Event) -> int:
        return event.position

    @admin.display(description="recorded")
    def recorded(self, event: Event) -> SafeString:
        return formatting.time(event.recorded_at)

    @admin.display(description="stream")
    def in_stream(self, event: Event) -> SafeString:
        return links.stream(event.stream, formatting.short(event.stream), version=event.version)

    @admin.display(description="correlation")
    def correlation(self, event: Event) -> SafeString:
        return links.correlation(event.correlation_id, formatting.short(event.correlation_id))


def _filters(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in LABELS if request.GET.get(name, "").strip()}
