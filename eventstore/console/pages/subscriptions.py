"""Subscriptions: position, lag and parked messages of each; actions to pause, resume, skip and
reset."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from eventstore import registry
from eventstore.console import at_brokers, finding, formatting, links, masking
from eventstore.console.actions import Act, ActingAdmin, Button, Choice
from eventstore.console.diagrams import charts
from eventstore.console.pages import overview
from eventstore.console.read_only import LONGEST_LIST
from eventstore.log import audit
from eventstore.models import Parked, Subscription
from eventstore.operations import control, dead_letters, doctor, lag
from eventstore.operations.doctor import Finding
from eventstore.outbox import cursors
from eventstore.subscriptions import Projection, Publication, Relay

SHOWN_PARKED = 50
DONE = "Done and recorded."
# Checks of the doctor that find parked messages of a subscription.
ABOUT_PARKED = ("dead-letters", "parked", "lease", "failing")


@admin.register(Subscription)
class SubscriptionAdmin(ActingAdmin):
    list_display = (
        "name",
        "kind",
        "state",
        "at_position",
        "high_water_mark",
        "events",
        "seconds",
        "positions",
        "parked",
        "dead",
        "at_broker",
    )
    ordering = ("name",)
    nothing = "No subscriptions yet: manage.py migrate creates them."
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
            "Pause",
            "The current batch is finished; then nothing is delivered.",
            "Resume it when the cause is repaired: until then its messages wait, and so do the"
            " sagas that need their outcome.",
        ),
        "resume": Act(
            "Resume",
            "Delivery continues at the next message. Nothing was lost.",
            "This page shows whether it catches up.",
        ),
        "skip": Act(
            "Skip the next message",
            "This message is never delivered; later ones are.",
            "Resume the subscription, and correct by hand what the message would have done.",
            is_final=True,
        ),
        "reset": Act(
            "Reset",
            "Empties a read model and fills it again while readers look; a rebuild shows no empty"
            " table. A publication publishes again what it has published, with the same ids.",
        ),
    }

    def choose(self, request: HttpRequest, act: str) -> Choice:
        name = request.GET.get("name", "")
        if name not in registry.subscriptions():
            raise Http404
        found = Subscription.objects.filter(name=name).first()
        if found is None:
            raise Http404
        if act == "reset":
            return _reset(name, found.position, request.GET.get("position", "0"))
        if act == "skip":
            return _skip(name)
        do: Callable[..., None] = control.pause if act == "pause" else control.resume

        def perform(who: str, reason: str) -> str:
            do(name, who=who, reason=reason)
            return DONE

        return Choice(
            subject=name,
            things=[name] if found.paused is (act == "resume") else [],
            shown=[f"{name} at position {found.position}"],
            perform=perform,
            back=links.page("subscription", name),
        )

    def found_by(
        self, request: HttpRequest, terms: Sequence[str]
    ) -> Iterable[QuerySet[Subscription]]:
        yield Subscription.objects.filter(name=terms[0])

    def annotate(self, page: Sequence[Any]) -> None:
        lags = {each.name: each for each in lag.lags()}
        brokers = {each.name: each for each in at_brokers.at_brokers()}
        for each in page:
            each.lag = lags[each.name]
            each.broker = brokers.get(each.name)

    def page(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        self.annotate([found])
        trends = charts.trends(found.name)
        parked = Parked.objects.filter(subscription=found.name).defer("traceback")
        last_error = parked.exclude(error="").order_by("-id")[:1]
        is_known = found.name in registry.subscriptions()
        # A publication or relay can be reset to any position; a read model only to the beginning.
        asks_position = isinstance(registry.subscriptions().get(found.name), Publication | Relay)
        acts = []
        if is_known:
            acts = ["resume", "skip"] if found.lag.paused else ["pause"]
            if control.goes_back(found.name) and not asks_position:
                acts.append("reset")
        return {
            "title": "Subscription",
            "lag": found.lag,
            "at_broker": found.broker,
            "cannot_reset": control.why_no_reset(found.name),
            "charts": trends.charts,
            "rate": trends.rate,
            "last_error": next(iter(masking.rows(request, list(last_error))), None),
            "buttons": self.buttons(request, acts, name=found.name),
            "reset_address": (
                self.address("reset") if asks_position and self.may_act(request) else ""
            ),
            "age": formatting.age(found.lag.seconds),
            "event_types": sorted(cursors.event_types_of(found.name)) if is_known else [],
            "parked": masking.rows(
                request, list(parked.order_by("key", "position")[:SHOWN_PARKED])
            ),
        }

    def subject_of(self, row: Subscription) -> str:
        return row.name

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view
        return [
            path("search/", guarded(self.search_view), name="eventstore_search"),
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
        silent = {"silent": overview.SILENT}
        return self._status_page(request, "overview", lambda: overview.overview() | silent)

    @method_decorator(require_safe)
    def doctor_view(self, request: HttpRequest) -> HttpResponse:
        def content() -> dict[str, Any]:
            return {"findings": [(each, _links_of(each)) for each in doctor.examine()]}

        return self._status_page(request, "doctor", content)

    @method_decorator(require_safe)
    def search_view(self, request: HttpRequest) -> HttpResponse:
        """Of each list that the user may see."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        term = request.GET.get("q", "").strip()[: finding.LONGEST]
        hits = finding.everything(request, term)
        if len(hits) == 1 and len(hits[0].rows) == 1:
            return HttpResponseRedirect(hits[0].rows[0].address)
        context = self.admin_site.each_context(request) | {
            "title": "Search",
            "subtitle": term or "everything",
            "opts": self.opts,
            "term": term,
            "hits": hits,
            "shortest": finding.SHORTEST,
        }
        return TemplateResponse(request, "admin/eventstore/search.html", context)

    def _status_page(
        self, request: HttpRequest, name: str, content: Callable[[], dict[str, Any]]
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        ours = {
            "title": self.opts.app_config.verbose_name,
            "subtitle": name.capitalize(),
            "opts": self.opts,
        }
        context = self.admin_site.each_context(request) | ours | content()
        return TemplateResponse(request, f"admin/eventstore/{name}.html", context)

    @admin.display(description="kind")
    def kind(self, subscription: Any) -> str:
        return str(subscription.lag.kind)

    @admin.display(description="state")
    def state(self, subscription: Any) -> SafeString:
        return formatting.subscription_badge(subscription.lag)

    @admin.display(description="position")
    def at_position(self, subscription: Subscription) -> int:
        return subscription.position

    @admin.display(description="high-water mark")
    def high_water_mark(self, subscription: Any) -> int:
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

    @admin.display(description="at the broker")
    def at_broker(self, subscription: Any) -> SafeString:
        found = subscription.broker
        return formatting.badge(found.summary, found.level) if found else formatting.NOTHING


def _parked(count: int, subscription: str, **more: str) -> SafeString | int:
    # The list's filter has no choice for a retired subscription.
    if not count or subscription not in registry.subscriptions():
        return count
    return links.link(links.listing("parked", subscription=subscription, **more), count)


def _links_of(found: Finding) -> SafeString:
    """To the pages of what a finding is about."""
    pages = []
    if found.subscription:
        pages.append(links.subscription(found.subscription))
        if found.check in ABOUT_PARKED:
            parked = links.listing("parked", subscription=found.subscription)
            pages.append(links.link(parked, "its parked messages"))
    if found.saga_key:
        pages.append(links.link(links.listing("sagastate", q=found.saga_key), "the saga"))
        if about := finding.pages_about([found.saga_key]):
            pages.append(links.subjects(about[found.saga_key]))
    return links.side_by_side(pages)


def _skip(name: str) -> Choice:
    """The next message after the cursor; a parked one is discarded from its own page."""
    found = cursors.following(name)

    def perform(who: str, reason: str) -> str:
        if found is None:
            raise control.OperationRefused("There is no next message.")
        control.skip(name, found.position, who=who, reason=reason)
        return DONE

    return Choice(
        subject=name,
        things=[found.position] if found else [],
        shown=[f"{found.type} of {found.stream}, at {found.position}"] if found else [],
        perform=perform,
        back=links.page("subscription", name),
    )


def _reset(name: str, current: int, text: str) -> Choice:
    """The current position is no part of the choice: the subscription may move on meanwhile."""
    if not control.goes_back(name) or not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Http404
    position, rows = int(text), ""
    subscription = registry.subscriptions()[name]
    if isinstance(subscription, Projection):
        found = subscription.model._default_manager.order_by("pk")[: LONGEST_LIST + 1].count()
        rows = (
            f"; rows to delete: {f'more than {LONGEST_LIST:,}' if found > LONGEST_LIST else found}"
        )

    def perform(who: str, reason: str) -> str:
        deleted = control.reset(name, position, who=who, reason=reason)
        return f"Done and recorded: it continues after position {position}; {deleted} rows deleted."

    return Choice(
        subject=name,
        things=[(name, position)],
        shown=[f"{name} goes back from position {current} to {position}{rows}"],
        perform=perform,
        back=links.page("subscription", name),
    )
