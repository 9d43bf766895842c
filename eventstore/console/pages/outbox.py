"""The outbox: each message with the subscriptions that have not taken it yet."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from eventstore import registry
from eventstore.console import finding, formatting, links, masking
from eventstore.console.detail import PageAdmin
from eventstore.console.read_only import ChoiceFilter
from eventstore.messages import BrokerMessage
from eventstore.models import Event, OutboxMessage, Parked, Subscription
from eventstore.outbox import cursors
from eventstore.subscriptions import Commands, Consumer, Saga

LOOKED_THROUGH = 10_000


class TopicFilter(ChoiceFilter):
    title = f"topic, of the last {LOOKED_THROUGH:,} positions"
    parameter_name = "topic"

    def offered(self) -> Iterable[str]:
        """Events have one topic; commands, messages to a saga and those of a broker have the name
        of their subscription."""
        kinds = (Commands, Saga, Consumer)
        return ["event", *sorted(name for kind in kinds for name in registry.of_kind(kind))]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        # No index by topic: every order would pay for it, and this filter is seldom used.
        newest = OutboxMessage.objects.order_by("-position").values_list("position", flat=True)
        last = newest.first() or 0
        return queryset.filter(topic=value, position__gt=last - LOOKED_THROUGH)


class Delivery(NamedTuple):
    """The delivery of a message to one subscription. passed: the cursor is past it. parked: its
    entry, if it failed or waits."""

    subscription: str
    passed: bool
    parked: Parked | None

    @property
    def is_settled(self) -> bool:
        return self.passed and self.parked is None

    @property
    def state(self) -> str:
        if self.parked is not None:
            return self.parked.status
        return "passed" if self.passed else "pending"


@admin.register(OutboxMessage)
class OutboxAdmin(PageAdmin):
    list_display = ("at_position", "state", "topic", "type", "about", "content", "created")
    list_filter = (TopicFilter,)
    list_defer = ("payload", "metadata")
    ordering = ("-position",)
    nothing = "The outbox is empty: no messages yet, or all were taken and cleared."
    page_template = "admin/eventstore/message.html"

    def annotate(self, page: Sequence[Any]) -> None:
        """Sets the deliveries of each message; two queries."""
        cursors = dict(Subscription.objects.values_list("name", "position"))
        entries = Parked.objects.filter(
            subscription__in=list(registry.subscriptions()),
            position__in=[each.position for each in page],
        ).defer("traceback")
        parked = {(each.subscription, each.position): each for each in entries}
        for message in page:
            at, topic = message.position, message.topic
            names = registry.listeners([message.type if topic == "event" else topic])
            message.deliveries = [
                Delivery(name, at <= cursors.get(name, 0), parked.get((name, at)))
                for name in sorted(names)
            ]

    def page(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        self.annotate([found])
        masking.rows(request, [each.parked for each in found.deliveries if each.parked])
        return {
            "about": self.about(found),
            "subjects": finding.subjects(found.key),
            "deliveries": found.deliveries,
            "event": (
                Event.objects.filter(position=found.position).first()
                if found.topic == "event"
                else None
            ),
            "received": received(request, found.topic, found.position),
            "payload": formatting.pretty(found.payload),
            "metadata": formatting.pretty(found.metadata),
        }

    def subject_of(self, row: OutboxMessage) -> str:
        return f"message {row.position}"

    @admin.display(description="position")
    def at_position(self, message: OutboxMessage) -> int:
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

    @admin.display(description="delivery")
    def state(self, message: Any) -> SafeString:
        unsettled = [each for each in message.deliveries if not each.is_settled]
        if not unsettled:
            return formatting.badge("delivered", "good")
        found = []
        for each in unsettled:
            text = f"{each.subscription} {each.state}"
            badge = formatting.badge(text, "bad" if each.state == "dead" else "waiting")
            if each.parked is not None:
                badge = links.link(links.page("parked", each.parked.pk), badge)
            found.append(badge)
        return format_html("{}", links.side_by_side(found))


def received(request: HttpRequest, subscription: str, position: int) -> dict[str, Any] | None:
    """The message of a broker at this position; None for other messages. Read again, because the
    page's own row is masked."""
    if not isinstance(registry.subscriptions().get(subscription), Consumer):
        return None
    for message in cursors.read_at(subscription, [position]):
        if isinstance(message.body, BrokerMessage):
            found: dict[str, Any] = masking.broker_message(request, subscription, message.body)
            return found | {"value": formatting.pretty(found["value"])}
    return None
