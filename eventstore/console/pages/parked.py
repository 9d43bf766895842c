"""Parked messages: those that a subscription's cursor passed unsettled, with their errors; and
actions to retry or discard them."""

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
from eventstore.console import finding, formatting, links, masking, selection
from eventstore.console.actions import SHOWN, Act, Choice
from eventstore.console.names import identity_of, saga_names
from eventstore.console.pages import outbox
from eventstore.console.read_only import ChoiceFilter
from eventstore.console.selection import SelectingAdmin
from eventstore.log import audit, search
from eventstore.models import Event, OutboxMessage, Parked, SagaState
from eventstore.operations import dead_letters
from eventstore.outbox import wakeup

# Messages that one confirmation acts on; more need another one.
MOST = 5_000

# Query parameters that select messages; the list's own filters are among them.
SELECTED_BY = ("subscription", "key", "status")

LEVELS = {Parked.Status.FAILED: "waiting", Parked.Status.DEAD: "bad"}


class StatusFilter(ChoiceFilter):
    title = parameter_name = "status"
    values = Parked.Status.values


class SubscriptionFilter(ChoiceFilter):
    title = parameter_name = "subscription"

    def offered(self) -> Iterable[str]:
        return sorted(registry.subscriptions())


@admin.register(Parked)
class ParkedAdmin(SelectingAdmin):
    list_display = (
        "selected",
        "at_position",
        "state",
        "subscriber",
        "about",
        "subject",
        "attempts",
        "due",
        "error_in_short",
    )
    list_display_links = ("at_position",)
    bulk = ("retry", "discard")
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
            "Within seconds it is gone from this list, or has its next error: then repair the cause"
            " first.",
        ),
        "discard": Act(
            "Discard",
            "The subscription never handles the message, so its effects never happen: a payment is"
            " not made, a refund not paid, a parcel not booked. Later messages of the key are"
            " delivered.",
            "A saga that waits for the answer waits until its deadline. Open it: compensate to undo"
            " the order, or do by hand what the message would have done and skip the step.",
            is_final=True,
        ),
    }

    def choose(self, request: HttpRequest, act: str) -> Choice:
        selected = {name: request.GET[name] for name in SELECTED_BY if name in request.GET}
        if any("\x00" in value for value in selected.values()):
            raise Http404
        matching = CAN_BE[act].filter(**selected)
        if ids := selection.ids(request):
            matching = matching.filter(id__in=ids)
            selected["id"] = ", ".join(map(str, ids[:SHOWN]))
        found = list(matching.order_by("subscription", "position").defer("traceback")[:MOST])
        subject = ", ".join(f"{name} {value}" for name, value in selected.items())
        if len(found) == 1:
            subject = f"{found[0].subscription} at {found[0].position}"
        return Choice(
            subject=subject or "all parked messages",
            things=[each.pk for each in found],
            shown=_described(masking.rows(request, found[:SHOWN])),
            perform=lambda who, reason: _perform(DO[act], found, who, reason),
            back=links.listing("parked", **_list_filters(selected)),
            follow=_sagas_of(found[:SHOWN]) if act == "discard" else formatting.EMPTY,
        )

    def found_by(self, request: HttpRequest, terms: Sequence[str]) -> Iterable[QuerySet[Parked]]:
        keys = [key for term in terms for key in (term, *search.streams_named(term))]
        known = list(registry.subscriptions())
        yield Parked.objects.filter(subscription__in=known, key__in=keys).defer("traceback")

    def annotate(self, page: Sequence[Any]) -> None:
        subjects = finding.pages_about({each.key for each in page})
        for each in page:
            each.subjects = links.subjects(subjects.get(each.key, ()))

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
            "subjects": finding.subjects(found.key),
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

    @admin.display(description="about")
    def subject(self, parked: Any) -> SafeString:
        found: SafeString = parked.subjects
        return found

    @admin.display(description="status")
    def state(self, parked: Parked) -> SafeString:
        return formatting.badge(parked.status, LEVELS.get(Parked.Status(parked.status), ""))

    @admin.display(description="due")
    def due(self, parked: Parked) -> SafeString:
        return formatting.time(parked.due_at)

    @admin.display(description="error")
    def error_in_short(self, parked: Parked) -> str:
        return formatting.shortened(parked.error)


def _described(found: Sequence[Parked]) -> list[SafeString]:
    """What each message is, for which key, and the order that it is about; three queries."""
    positions = [each.position for each in found]
    messages = OutboxMessage.objects.filter(position__in=positions)
    types = dict(messages.values_list("position", "type"))
    types |= dict(Event.objects.filter(position__in=positions).values_list("position", "type"))
    subjects = finding.pages_about({each.key for each in found})
    return [
        format_html(
            "{} ({}): <code>{}</code> for key <code>{}</code>, {}; {}",
            links.link(links.page("parked", each.pk), f"{each.subscription} at {each.position}"),
            each.status,
            types.get(each.position, "no longer in the outbox"),
            each.key,
            links.subjects(subjects.get(each.key, ())),
            formatting.shortened(each.error),
        )
        for each in found
    ]


def _sagas_of(found: Sequence[Parked]) -> SafeString:
    """Links to the sagas with the identities of these keys."""
    keys = {identity_of(each.key) for each in found} | {each.key for each in found}
    sagas = SagaState.objects.filter(saga__in=saga_names(), key__in=keys).order_by("saga", "key")
    return links.side_by_side(
        [links.saga(each.pk, str(each)) for each in sagas.defer("state")[:SHOWN]]
    )


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
