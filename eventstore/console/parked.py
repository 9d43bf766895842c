"""Parked messages: what a subscription has moved past without settling it, and why; tried again or
discarded here."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from eventstore import registry
from eventstore.log import audit
from eventstore.models import Event, OutboxMessage, Parked
from eventstore.operations import dead_letters
from eventstore.outbox import wakeup

from . import formatting, links, masking
from .actions import SHOWN, Act, ActingAdmin, Choice
from .read_only import one_of

# By one yes; the rest, if there is more, by the next.
MOST = 5_000

# What can be chosen by an address, and so by the list's own filters.
NAMED_BY = ("id", "subscription", "key", "status")

MOODS = {Parked.Status.FAILED: "waiting", Parked.Status.DEAD: "bad"}


def _subscriptions() -> Iterable[str]:
    return sorted(registry.subscriptions())


def _statuses() -> Iterable[str]:
    return Parked.Status.values


@admin.register(Parked)
class ParkedAdmin(ActingAdmin):
    list_display = ("place", "subscriber", "about", "state", "attempts", "due", "error_in_short")
    list_filter = (
        one_of("status", "status", _statuses),
        one_of("subscription", "subscription", _subscriptions),
    )
    list_defer = ("traceback",)
    ordering = ("-id",)
    nothing = "Nothing is parked: every subscription has taken all that it was given."
    page_template = "admin/eventstore/parked.html"
    refusals = (dead_letters.NotParked, audit.ReasonMissing)
    acts = {
        "retry": Act(
            "Try again now",
            "The first message of each key is handed to today's code at once; what waits behind it"
            " follows in order.",
        ),
        "discard": Act(
            "Discard for good",
            "Its subscription never takes it: what should come of it does not. What waits behind is"
            " delivered.",
        ),
    }

    def choose(self, request: HttpRequest, word: str) -> Choice:
        chosen = {name: request.GET[name] for name in NAMED_BY if name in request.GET}
        found = list(_matching(chosen, CAN_BE[word])[:MOST])
        return Choice(
            subject=", ".join(f"{name} {value}" for name, value in chosen.items())
            or "all that is parked",
            things=[each.pk for each in found],
            shown=[_named(each) for each in masking.rows(request, found[:SHOWN])],
            perform=lambda who, reason: _done(DO[word], found, who, reason),
            back=links.listing(
                "parked",
                **{name: chosen[name] for name in ("subscription", "status") if name in chosen},
            ),
        )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        filters = {
            name: request.GET[name] for name in ("subscription", "status") if name in request.GET
        }
        about = ": all that match" if filters else ": all"
        buttons = (
            self.buttons(request, ("retry", "discard"), about, **filters)
            if Parked.objects.exists()
            else []
        )
        return super().changelist_view(request, {"buttons": buttons} | (extra_context or {}))

    def page(self, request: HttpRequest, found: Parked) -> dict[str, Any]:
        return {
            "title": "Parked message",
            "subscriber": self.subscriber(found),
            "about": self.about(found),
            "state": self.state(found),
            "message": OutboxMessage.objects.filter(position=found.position).first(),
            "event": Event.objects.filter(position=found.position).first(),
            "buttons": [
                *self.buttons(request, ("retry", "discard"), id=found.pk),
                *self.buttons(
                    request,
                    ("discard",),
                    ": all of its key",
                    subscription=found.subscription,
                    key=found.key,
                ),
            ],
        }

    def subject_of(self, row: Parked) -> str:
        return row.subscription

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
        return formatting.badge(parked.status, MOODS.get(Parked.Status(parked.status), ""))

    @admin.display(description="due")
    def due(self, parked: Parked) -> SafeString:
        return formatting.time(parked.due_at)

    @admin.display(description="error")
    def error_in_short(self, parked: Parked) -> str:
        return formatting.shortened(parked.error)


def _is_first_of_its_key() -> Any:
    earlier = Parked.objects.filter(
        subscription=OuterRef("subscription"),
        key=OuterRef("key"),
        position__lt=OuterRef("position"),
    )
    return ~Exists(earlier)


def _matching(chosen: dict[str, str], can_be: QuerySet[Parked]) -> QuerySet[Parked]:
    """Raises Http404 for what is no choice."""
    if any("\x00" in value for value in chosen.values()) or not chosen.get("id", "0").isdecimal():
        raise Http404
    return can_be.filter(**chosen).order_by("subscription", "position").defer("traceback")


def _named(parked: Parked) -> SafeString:
    where = links.link(
        links.page("parked", parked.pk), f"{parked.subscription} at {parked.position}"
    )
    return format_html("{} ({}) {}", where, parked.status, formatting.shortened(parked.error))


def _done(do: Callable[..., int], found: Sequence[Parked], who: str, reason: str) -> str:
    """All of it or nothing, however many subscriptions it is of."""
    with transaction.atomic():
        counts = [
            do(subscription, [each.position for each in of_it], who=who, reason=reason)
            for subscription, of_it in groupby(found, attrgetter("subscription"))
        ]
    wakeup.wake_workers()
    return f"Done, and written down: {sum(counts)}."


DO: dict[str, Callable[..., int]] = {"retry": dead_letters.retry, "discard": dead_letters.discard}

# Those that the engine would take; a call under way is left alone.
CAN_BE = {
    "retry": Parked.objects.filter(_is_first_of_its_key(), status__in=("failed", "dead")),
    "discard": Parked.objects.exclude(status=Parked.Status.LEASED),
}
