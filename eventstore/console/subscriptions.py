"""Subscriptions: who listens, how far each has come, how far it is behind, what it could not take;
paused from here."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from eventstore import registry
from eventstore.log import audit
from eventstore.messages import Message
from eventstore.models import Parked, Subscription
from eventstore.operations import control, dead_letters, doctor, lag
from eventstore.outbox import cursors
from eventstore.subscriptions import Projection, Publication, Relay

from . import badges as badges
from . import charts, formatting, links, masking, overview
from .actions import Act, ActingAdmin, Button, Choice
from .read_only import LONGEST_LIST

SHOWN_PARKED = 50


@admin.register(Subscription)
class SubscriptionAdmin(ActingAdmin):
    list_display = (
        "name",
        "kind",
        "state",
        "place",
        "fence",
        "events",
        "seconds",
        "positions",
        "parked",
        "dead",
    )
    ordering = ("name",)
    nothing = "No subscription has a cursor yet: manage.py migrate gives them theirs."
    page_template = "admin/eventstore/subscription.html"
    refusals = (
        control.NoSuchSubscription,
        control.OperationRefused,
        dead_letters.NotParked,
        audit.ReasonMissing,
        OperationalError,
    )
    acts = {
        "pause": Act(
            "Pause", "The step under way is finished; then nothing is delivered until it goes on."
        ),
        "resume": Act("Go on", "It goes on where it stopped: nothing was lost meanwhile."),
        "skip": Act(
            "Leave the next message out", "The one message is never taken; all behind it are."
        ),
        "reset": Act(
            "Put back",
            "A read model is emptied, and fills anew before its readers' eyes; a rebuild shows no"
            " empty table. A publication tells again what it told, under the same ids.",
        ),
    }

    def choose(self, request: HttpRequest, word: str) -> Choice:
        name = request.GET.get("name", "")
        stands = (
            Subscription.objects.filter(name=name).first()
            if name in registry.subscriptions()
            else None
        )
        if stands is None:
            raise Http404
        if word == "reset":
            return _reset(name, stands.position, request.GET.get("position", "0"))
        return _skip(name) if word == "skip" else _pause(name, word)

    def annotate(self, page: Sequence[Any]) -> None:
        lags = {each.name: each for each in lag.lags()}
        for each in page:
            each.lag = lags[each.name]

    def page(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        self.annotate([found])
        told = charts.told(found.name)
        return {
            "title": "Subscription",
            "lag": found.lag,
            "charts": told.charts,
            "rate": told.rate,
            "last_error": next(iter(masking.rows(request, _last_error(found.name))), None),
            "buttons": self._buttons(request, found.lag),
            "put_back": (
                self.address("reset")
                if self.may_act(request) and _has_to_be_asked_where(found.name)
                else ""
            ),
            "age": formatting.age(found.lag.seconds),
            "hears": (
                sorted(cursors.event_types_of(found.name))
                if found.name in registry.subscriptions()
                else []
            ),
            "parked": masking.rows(request, _parked_of(found.name)),
        }

    def subject_of(self, row: Subscription) -> str:
        return row.name

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view
        return [
            path("overview/", guarded(self.overview_view), name="eventstore_overview"),
            path("doctor/", guarded(self.doctor_view), name="eventstore_doctor"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        buttons = [
            Button("Overview", reverse("admin:eventstore_overview")),
            Button("Projections", links.listing("projectionsubscription")),
            Button("Doctor", reverse("admin:eventstore_doctor")),
        ]
        return super().changelist_view(request, {"buttons": buttons} | (extra_context or {}))

    @method_decorator(require_safe)
    def overview_view(self, request: HttpRequest) -> HttpResponse:
        return self._glance(request, "overview", overview.glance)

    @method_decorator(require_safe)
    def doctor_view(self, request: HttpRequest) -> HttpResponse:
        return self._glance(request, "doctor", lambda: {"findings": doctor.examine()})

    def _glance(
        self, request: HttpRequest, name: str, shown: Callable[[], dict[str, Any]]
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        ours = {
            "title": self.opts.app_config.verbose_name,
            "subtitle": name.capitalize(),
            "opts": self.opts,
        }
        context = self.admin_site.each_context(request) | ours | shown()
        return TemplateResponse(request, f"admin/eventstore/{name}.html", context)

    def _buttons(self, request: HttpRequest, where: lag.Lag) -> list[Button]:
        if where.name not in registry.subscriptions():
            return []
        words = ["resume", "skip"] if where.paused else ["pause"]
        if control.goes_back(where.name) and not _has_to_be_asked_where(where.name):
            words.append("reset")
        return self.buttons(request, words, name=where.name)

    @admin.display(description="kind")
    def kind(self, subscription: Any) -> str:
        return str(subscription.lag.kind)

    @admin.display(description="state")
    def state(self, subscription: Any) -> SafeString:
        return badges.badge(subscription.lag)

    @admin.display(description="position")
    def place(self, subscription: Subscription) -> int:
        return subscription.position

    @admin.display(description="fence")
    def fence(self, subscription: Any) -> int:
        return int(subscription.lag.fence)

    @admin.display(description="lag in events")
    def events(self, subscription: Any) -> str:
        return str(subscription.lag.amount)

    @admin.display(description="in time")
    def seconds(self, subscription: Any) -> str:
        return formatting.age(subscription.lag.seconds) if subscription.lag.events else "–"

    @admin.display(description="in positions")
    def positions(self, subscription: Any) -> int:
        return int(subscription.lag.positions)

    @admin.display(description="parked")
    def parked(self, subscription: Any) -> SafeString | int:
        return _parked(subscription.lag.parked, subscription.name)

    @admin.display(description="dead")
    def dead(self, subscription: Any) -> SafeString | int:
        return _parked(subscription.lag.dead, subscription.name, status=Parked.Status.DEAD)


def _last_error(name: str) -> list[Parked]:
    return list(
        Parked.objects.filter(subscription=name)
        .exclude(error="")
        .order_by("-id")
        .defer("traceback")[:1]
    )


def _parked_of(name: str) -> list[Parked]:
    found = Parked.objects.filter(subscription=name).order_by("key", "position").defer("traceback")
    return list(found[:SHOWN_PARKED])


def _parked(count: int, subscription: str, **more: str) -> SafeString | int:
    # What the wiring no longer has is no choice of that list's filter.
    if not count or subscription not in registry.subscriptions():
        return count
    return links.link(links.listing("parked", subscription=subscription, **more), count)


def _pause(name: str, word: str) -> Choice:
    do: Callable[..., None] = control.pause if word == "pause" else control.resume
    return Choice(
        subject=name,
        things=[name],
        shown=[name],
        perform=lambda who, reason: _done(lambda: do(name, who=who, reason=reason)),
        back=links.page("subscription", name),
    )


def _skip(name: str) -> Choice:
    """The next one ahead of the cursor; one that is parked is discarded from its own page."""
    following = cursors.following(name)
    return Choice(
        subject=name,
        things=[following.position] if following else [],
        shown=(
            [f"{following.type} of {following.stream}, at {following.position}"]
            if following
            else []
        ),
        perform=lambda who, reason: _done(
            lambda: control.skip(name, _position(following), who=who, reason=reason)
        ),
        back=links.page("subscription", name),
    )


def _has_to_be_asked_where(name: str) -> bool:
    """A read model goes back to its beginning only."""
    return isinstance(registry.subscriptions().get(name), Publication | Relay)


def _reset(name: str, stands: int, asked: str) -> Choice:
    """Where the subscription stands by then is no part of it: it may go on while somebody thinks
    about it."""
    if not control.goes_back(name) or not (asked.isascii() and asked.isdigit() and len(asked) < 19):
        raise Http404
    position = int(asked)
    return Choice(
        subject=name,
        things=[(name, position)],
        shown=[f"{name} goes back from position {stands} to {position}{_emptied(name)}"],
        perform=lambda who, reason: _put_back(name, position, who, reason),
        back=links.page("subscription", name),
    )


def _emptied(name: str) -> str:
    subscription = registry.subscriptions()[name]
    if not isinstance(subscription, Projection):
        return ""
    found = subscription.model._default_manager.order_by("pk")[: LONGEST_LIST + 1].count()
    many = f"more than {LONGEST_LIST:,}" if found > LONGEST_LIST else found
    return f"; rows that are taken away: {many}"


def _put_back(name: str, position: int, who: str, reason: str) -> str:
    gone = control.reset(name, position, who=who, reason=reason)
    return f"Done, and written down: it goes on behind {position}; {gone} rows were taken away."


def _position(following: Message | None) -> int:
    if following is None:
        raise control.OperationRefused("Nothing lies ahead of it.")
    return following.position


def _done(do: Callable[[], None]) -> str:
    do()
    return "Done, and written down."
