"""Subscriptions: who listens, how far each has come, how far it is behind, and what it could not take."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from eventstore import lag, outbox, registry
from eventstore.models import Parked, Subscription

from . import links, shown
from .pages import PageAdmin

SHOWN_PARKED = 50


@admin.register(Subscription)
class SubscriptionAdmin(PageAdmin):
    list_display = ("name", "kind", "state", "place", "fence", "events", "seconds", "positions", "parked", "dead")
    ordering = ("name",)
    nothing = "No subscription has a cursor yet: manage.py migrate gives them theirs."
    page_template = "admin/eventstore/subscription.html"

    def adorn(self, page: Sequence[Any]) -> None:
        lags = {each.name: each for each in lag.lags()}
        for each in page:
            each.lag = lags[each.name]

    def page(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        self.adorn([found])
        return {
            "title": "Subscription",
            "lag": found.lag,
            "age": shown.age(found.lag.seconds),
            "hears": sorted(outbox.hears(found.name)) if found.name in registry.subscriptions() else [],
            "parked": Parked.objects.filter(subscription=found.name).order_by("key", "position")[:SHOWN_PARKED],
        }

    @admin.display(description="kind")
    def kind(self, subscription: Any) -> str:
        return str(subscription.lag.kind)

    @admin.display(description="state")
    def state(self, subscription: Any) -> SafeString:
        return _state(subscription.lag)

    @admin.display(description="position")
    def place(self, subscription: Subscription) -> int:
        return subscription.position

    @admin.display(description="fence")
    def fence(self, subscription: Any) -> int:
        return int(subscription.lag.fence)

    @admin.display(description="lag in events")
    def events(self, subscription: Any) -> int:
        return int(subscription.lag.events)

    @admin.display(description="in time")
    def seconds(self, subscription: Any) -> str:
        return shown.age(subscription.lag.seconds) if subscription.lag.events else "–"

    @admin.display(description="in positions")
    def positions(self, subscription: Any) -> int:
        return int(subscription.lag.positions)

    @admin.display(description="parked")
    def parked(self, subscription: Any) -> SafeString | int:
        return _parked(subscription.lag.parked, subscription.name)

    @admin.display(description="dead")
    def dead(self, subscription: Any) -> SafeString | int:
        return _parked(subscription.lag.dead, subscription.name, status=Parked.Status.DEAD)


def _state(where: lag.Lag) -> SafeString:
    if where.kind == "retired":
        return shown.badge("retired")
    if where.name in lag.OUR_OWN:
        return shown.badge("internal")
    if where.paused:
        return shown.badge("paused", "waiting")
    if where.dead:
        return shown.badge("dead letters", "bad")
    return shown.badge("behind", "waiting") if where.events else shown.badge("up to date", "good")


def _parked(count: int, subscription: str, **more: str) -> SafeString | int:
    # What the wiring no longer has is no choice of that list's filter.
    if not count or subscription not in registry.subscriptions():
        return count
    return links.link(links.listing("parked", subscription=subscription, **more), count)
