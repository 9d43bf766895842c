"""The outbox: every message with those that have still to take it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from eventstore import registry
from eventstore.models import Event, OutboxMessage, Parked, Subscription
from eventstore.subscriptions import Commands, Saga

from . import formatting, links, masking
from .detail import PageAdmin
from .read_only import one_of

LOOKED_THROUGH = 10_000


class Delivery(NamedTuple):
    """How it stands between a message and one of its listeners. parked: moved past, and not
    settled."""

    subscription: str
    passed: bool
    parked: Parked | None

    @property
    def is_settled(self) -> bool:
        return self.passed and self.parked is None

    @property
    def word(self) -> str:
        if self.parked is not None:
            return self.parked.status
        return "passed" if self.passed else "pending"


def _topics() -> Iterable[str]:
    """Only commands and word for a saga are owed; all else hears events."""
    owed = (
        name for name, each in registry.subscriptions().items() if isinstance(each, Commands | Saga)
    )
    return ["event", *sorted(owed)]


def _lately(queryset: QuerySet[OutboxMessage], topic: str) -> QuerySet[OutboxMessage]:
    """No index is kept for this: what is owed is written with every order, and looked at once in a
    while."""
    newest = (
        OutboxMessage.objects.order_by("-position").values_list("position", flat=True).first() or 0
    )
    return queryset.filter(topic=topic, position__gt=newest - LOOKED_THROUGH)


@admin.register(OutboxMessage)
class OutboxAdmin(PageAdmin):
    list_display = ("place", "state", "topic", "type", "about", "content", "created")
    list_filter = (
        one_of("topic", f"topic, of the last {LOOKED_THROUGH:,} positions", _topics, _lately),
    )
    list_defer = ("payload", "metadata")
    ordering = ("-position",)
    nothing = (
        "The outbox is empty: nothing has happened, or all that has is taken and its time in here"
        " is over."
    )
    page_template = "admin/eventstore/message.html"

    def annotate(self, page: Sequence[Any]) -> None:
        for each, deliveries in zip(page, _deliveries(page), strict=True):
            each.deliveries = deliveries

    def page(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        self.annotate([found])
        masking.rows(request, [each.parked for each in found.deliveries if each.parked])
        return {
            "about": self.about(found),
            "deliveries": found.deliveries,
            "event": (
                Event.objects.filter(position=found.position).first()
                if found.topic == "event"
                else None
            ),
            "payload": formatting.pretty(found.payload),
            "metadata": formatting.pretty(found.metadata),
        }

    def subject_of(self, row: OutboxMessage) -> str:
        return f"message {row.position}"

    @admin.display(description="position")
    def place(self, message: OutboxMessage) -> int:
        return message.position

    @admin.display(description="created")
    def created(self, message: OutboxMessage) -> SafeString:
        return formatting.time(message.created_at)

    @admin.display(description="about")
    def about(self, message: OutboxMessage) -> SafeString:
        return links.known_stream(message.key)

    def content(self, message: OutboxMessage) -> SafeString:
        if message.topic == "event":
            return links.event(message.position, "event")
        return links.link(links.page("outboxmessage", message.position), "payload")

    @admin.display(description="taken")
    def state(self, message: Any) -> SafeString:
        open_ones = [each for each in message.deliveries if not each.is_settled]
        if not open_ones:
            return formatting.badge("by all", "good")
        return format_html("{}", links.side_by_side([_open(each) for each in open_ones]))


def _deliveries(messages: Sequence[OutboxMessage]) -> list[list[Delivery]]:
    """For each message in order; two queries."""
    cursors = dict(Subscription.objects.values_list("name", "position"))
    parked = {
        (each.subscription, each.position): each
        for each in Parked.objects.filter(
            subscription__in=list(registry.subscriptions()),
            position__in=[each.position for each in messages],
        ).defer("traceback")
    }
    return [_of(each, cursors, parked) for each in messages]


def _of(
    message: OutboxMessage, cursors: Mapping[str, int], parked: Mapping[tuple[str, int], Parked]
) -> list[Delivery]:
    return [
        Delivery(
            name, message.position <= cursors.get(name, 0), parked.get((name, message.position))
        )
        for name in sorted(
            registry.listeners([message.type if message.topic == "event" else message.topic])
        )
    ]


def _open(delivery: Delivery) -> SafeString:
    if delivery.parked is None:
        return formatting.badge(f"{delivery.subscription} pending", "waiting")
    word = f"{delivery.subscription} {delivery.word}"
    badge = formatting.badge(word, "bad" if delivery.word == "dead" else "waiting")
    return links.link(links.page("parked", delivery.parked.pk), badge)
