"""Parked messages: those that a subscription's cursor passed unsettled, with their errors; and
actions to retry or discard them."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from eventstore import registry
from eventstore.console import formatting, links, masking
from eventstore.console.actions import SHOWN, Act, ActingAdmin, Choice
from eventstore.console.pages import outbox
from eventstore.console.read_only import ChoiceFilter
from eventstore.log import audit
from eventstore.models import Event, OutboxMessage, Parked
from eventstore.operations import dead_letters
from eventstore.outbox import wakeup

# Messages that one confirmation acts on; more need another one.
MOST = 5_000

# Query parameters that select messages; the list's own filters are among them.
SELECTED_BY = ("id", "subscription", "key", "status")

LEVELS = {Parked.Status.FAILED: "waiting", Parked.Status.DEAD: "bad"}


class StatusFilter(ChoiceFilter):
    title = parameter_name = "status"
    values = Parked.Status.values


class SubscriptionFilter(ChoiceFilter):
    title = parameter_name = "subscription"

    def offered(self) -> Iterable[str]:
        return sorted(registry.subscriptions())


@admin.register(Parked)
class ParkedAdmin(ActingAdmin):
    list_display = (
        "at_position",
        "subscriber",
        "about",
        "state",
        "attempts",
        "due",
        "error_in_short",
    )
    list_filter = (StatusFilter, SubscriptionFilter)
    list_defer = ("traceback",)
    ordering = ("-id",)
    nothing = "No parked messages."
    page_template = "admin/eventstore/parked.html"
    refusals = (dead_letters.NotParked, audit.ReasonMissing)
    acts = {
        "retry": Act(
            "Retry now",
            "Delivers the first message of each key again at once; later messages of the key follow"
            " in order.",
        ),
        "discard": Act(
            "Discard",
            "The subscription never handles the message, so its effects never happen. Later"
            " messages of the key are delivered.",
        ),
    }

    def choose(self, request: HttpRequest, act: str) -> Choice:
        selected = {name: request.GET[name] for name in SELECTED_BY if name in request.GET}
        has_nul = any("\x00" in value for value in selected.values())
        if has_nul or not selected.get("id", "0").isdecimal():
            raise Http404
        matching = CAN_BE[act].filter(**selected).order_by("subscription", "position")
        found = list(matching.defer("traceback")[:MOST])
        shown = []
        for each in masking.rows(request, found[:SHOWN]):
            text = f"{each.subscription} at {each.position}"
            link = links.link(links.page("parked", each.pk), text)
            error = formatting.shortened(each.error)
            shown.append(format_html("{} ({}) {}", link, each.status, error))
        return Choice(
            subject=", ".join(f"{name} {value}" for name, value in selected.items())
            or "all parked messages",
            things=[each.pk for each in found],
            shown=shown,
            perform=lambda who, reason: _perform(DO[act], found, who, reason),
            back=links.listing("parked", **_list_filters(selected)),
        )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        filters = _list_filters(request.GET.dict())
        suffix = ": all that match" if filters else ": all"
        buttons = (
            self.buttons(request, ("retry", "discard"), suffix, **filters)
            if Parked.objects.exists()
            else []
        )
        return super().changelist_view(request, {"buttons": buttons} | (extra_context or {}))

    def page(self, request: HttpRequest, found: Parked) -> dict[str, Any]:
        its_key = {"subscription": found.subscription, "key": found.key}
        return {
            "title": "Parked message",
            "subscriber": self.subscriber(found),
            "about": self.about(found),
            "state": self.state(found),
            "message": OutboxMessage.objects.filter(position=found.position).first(),
            "event": Event.objects.filter(position=found.position).first(),
            "received": outbox.received(request, found.subscription, found.position),
            "buttons": [
                *self.buttons(request, ("retry", "discard"), id=found.pk),
                *self.buttons(request, ("discard",), ": all of its key", **its_key),
            ],
        }

    def subject_of(self, row: Parked) -> str:
        return row.subscription

    @admin.display(description="position")
    def at_position(self, parked: Parked) -> int:
        return parked.position

    @admin.display(description="subscription")
    def subscriber(self, parked: Parked) -> SafeString:
        return links.subscription(parked.subscription)

    @admin.display(description="key")
    def about(self, parked: Parked) -> SafeString:
        return links.known_stream(parked.key)

    @admin.display(description="status")
    def state(self, parked: Parked) -> SafeString:
        return formatting.badge(parked.status, LEVELS.get(Parked.Status(parked.status), ""))

    @admin.display(description="due")
    def due(self, parked: Parked) -> SafeString:
        return formatting.time(parked.due_at)

    @admin.display(description="error")
    def error_in_short(self, parked: Parked) -> str:
        return formatting.shortened(parked.error)


def _list_filters(query: dict[str, Any]) -> dict[str, Any]:
    return {name: query[name] for name in ("subscription", "status") if name in query}


def _perform(do: Callable[..., int], found: Sequence[Parked], who: str, reason: str) -> str:
    """All in one transaction, even over several subscriptions."""
    with transaction.atomic():
        counts = [
            do(subscription, [each.position for each in group], who=who, reason=reason)
            for subscription, group in groupby(found, attrgetter("subscription"))
        ]
    wakeup.wake_workers()
    return f"Done and recorded: {sum(counts)}."


DO: dict[str, Callable[..., int]] = {"retry": dead_letters.retry, "discard": dead_letters.discard}

_is_first_of_its_key = ~Exists(
    Parked.objects.filter(
        subscription=OuterRef("subscription"),
        key=OuterRef("key"),
        position__lt=OuterRef("position"),
    )
)
# What the engine accepts; a message whose call is in progress is left alone.
CAN_BE = {
    "retry": Parked.objects.filter(_is_first_of_its_key, status__in=("failed", "dead")),
    "discard": Parked.objects.exclude(status=Parked.Status.LEASED),
}
