"""Parked messages: what a subscription has moved past without settling it, and why."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from eventstore import registry
from eventstore.models import Event, OutboxMessage, Parked

from . import links, shown
from .pages import PageAdmin
from .read_only import one_of

MOODS = {Parked.Status.FAILED: "waiting", Parked.Status.DEAD: "bad"}


def _subscriptions() -> Iterable[str]:
    return sorted(registry.subscriptions())


def _statuses() -> Iterable[str]:
    return Parked.Status.values


@admin.register(Parked)
class ParkedAdmin(PageAdmin):
    list_display = ("place", "subscriber", "about", "state", "attempts", "due", "error_in_short")
    list_filter = (one_of("status", "status", _statuses), one_of("subscription", "subscription", _subscriptions))
    list_defer = ("traceback",)
    ordering = ("-id",)
    nothing = "Nothing is parked: every subscription has taken all that it was given."
    page_template = "admin/eventstore/parked.html"

    def page(self, request: HttpRequest, found: Parked) -> dict[str, Any]:
        return {
            "title": "Parked message",
            "subscriber": self.subscriber(found),
            "about": self.about(found),
            "state": self.state(found),
            "message": OutboxMessage.objects.filter(position=found.position).first(),
            "event": Event.objects.filter(position=found.position).first(),
        }

    @admin.display(description="position")
    def place(self, parked: Parked) -> int:
        return parked.position

    @admin.display(description="subscription")
    def subscriber(self, parked: Parked) -> SafeString:
        return links.subscription(parked.subscription)

    @admin.display(description="key")
    def about(self, parked: Parked) -> SafeString:
        return links.known_stream(parked.key)

    @admin.display(description="status")
    def state(self, parked: Parked) -> SafeString:
        return shown.badge(parked.status, MOODS.get(Parked.Status(parked.status), ""))

    @admin.display(description="due")
    def due(self, parked: Parked) -> SafeString:
        return shown.time(parked.due_at)

    @admin.display(description="error")
    def error_in_short(self, parked: Parked) -> str:
        return shown.shortened(parked.error)
