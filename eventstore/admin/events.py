"""Events: the log, newest first; and each with its cause, its effects and all that belongs to it."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from eventstore import codec, registry
from eventstore.models import Event

from . import causation, links, shown, veil
from .pages import PageAdmin
from .read_only import one_of

EFFECTS = 100


def _types() -> Iterable[str]:
    return sorted({name for table in registry.wiring().EVENTS for name in table} | set(registry.renamed()))


@admin.register(Event)
class EventAdmin(PageAdmin):
    list_display = ("place", "recorded", "type", "in_stream", "version", "business_transaction")
    list_display_links = ("place",)
    list_filter = (one_of("type", "type", _types),)
    list_defer = ("data", "metadata")
    ordering = ("-position",)
    search_fields = ("stream",)
    search_help_text = "The id of an event, of a correlation, of what a stream is about, or the whole name of a stream."
    nothing = "No event matches. The search takes whole ids and names; nothing is looked for inside of payloads."
    page_template = "admin/eventstore/event.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        term = search_term.strip()
        return (queryset.filter(_named(term)) if term else queryset), False

    def find(self, request: HttpRequest, key: str) -> Event | None:
        """By position, or by id."""
        by_id = _uuid(key)
        return Event.objects.filter(id=by_id).first() if by_id else super().find(request, key)

    def subject_of(self, row: Event) -> str:
        return f"event {row.position}"

    def address_of(self, row: Event) -> str:
        return links.page("event", row.position)

    def page(self, request: HttpRequest, found: Event) -> dict[str, Any]:
        effects = Event.objects.filter(correlation_id=found.correlation_id, causation_id=found.id)
        return {
            "cause": Event.objects.filter(id=found.causation_id).first() if found.causation_id else None,
            "effects": effects.order_by("position")[:EFFECTS],
            "correlation": causation.correlation(found.correlation_id),
            "data": shown.pretty(found.data),
            "metadata": shown.pretty(found.metadata),
            "today": _as_read_today(request, found.position),
        }

    @admin.display(description="position")
    def place(self, event: Event) -> int:
        return event.position

    @admin.display(description="recorded")
    def recorded(self, event: Event) -> SafeString:
        return shown.time(event.recorded_at)

    @admin.display(description="stream")
    def in_stream(self, event: Event) -> SafeString:
        return links.stream(event.stream, shown.short(event.stream), version=event.version)

    @admin.display(description="correlation")
    def business_transaction(self, event: Event) -> SafeString:
        return links.correlation(event.correlation_id, shown.short(event.correlation_id))


def _named(term: str) -> Q:
    """Every part of it has an index of its own."""
    streams = Q(stream__in=[term, *links.streams_named(term)])
    by_id = _uuid(term)
    return streams | Q(id=by_id) | Q(correlation_id=by_id) if by_id else streams


def _uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None


def _as_read_today(request: HttpRequest, position: int) -> dict[str, str]:
    """From what is really stored, whatever is shown of it."""
    event = Event.objects.get(position=position)
    try:
        message = registry.decode(event.type, event.schema_version, codec.encode_json(event.data).decode())
    except (registry.UnknownType, codec.Undecodable) as error:
        return {"error": veil.trouble(request, error)}
    return {"by": type(message).__name__, "message": shown.pretty(veil.struct(request, message))}
