"""Projections: each read model with its table, rebuilt beside the live one by the workers, swapped
and taken back."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils.safestring import SafeString

from eventstore.log import audit
from eventstore.models import ProjectionSubscription
from eventstore.operations import lag
from eventstore.postgres import rows
from eventstore.privacy import personal_data
from eventstore.projections import rebuild
from eventstore.projections.rebuild import DiffReport, Rebuilding

from . import badges as badges
from . import formatting, links, masking
from .actions import Act, ActingAdmin, Choice
from .read_only import ESTIMATE

SHOWN_REBUILDS = 20
# Seconds without a word from which an open rebuild has nobody who works on it.
SILENT = 15.0

MOODS = {
    "folding": "waiting",
    "ready": "waiting",
    "swapped": "good",
    "taken back": "waiting",
    "failed": "bad",
    "cancelled": "",
}


class Difference(NamedTuple):
    """old, new: in a line, for people."""

    key: str
    column: str
    old: str
    new: str


@admin.register(ProjectionSubscription)
class ProjectionAdmin(ActingAdmin):
    list_display = ("name", "state", "behind", "rebuilt", "far", "began", "why")
    ordering = ("name",)
    nothing = "The wiring has no projection, so there is no read model to rebuild."
    page_template = "admin/eventstore/projection.html"
    refusals = (
        rebuild.NotRebuildable,
        rebuild.AlreadyRebuilding,
        rebuild.NotRebuilding,
        rebuild.NothingKept,
        audit.ReasonMissing,
        OperationalError,
    )
    acts = {
        "rebuild": Act(
            "Rebuild",
            "The workers fold the whole log into a table beside the live one and swap the two at"
            " once when it is done. Until then every reader sees the live table; nothing else is"
            " done, and nothing is sent to anybody.",
        ),
        "fold": Act(
            "Fold and compare",
            "The workers fold the whole log into a table beside the live one, and stop there: this"
            " page then tells what differs, and you say whether to swap.",
        ),
        "swap": Act(
            "Swap",
            "The workers fold what has come since, and put the new table in the place of the live"
            " one in one commit. The live one is kept, so that you can roll back.",
        ),
        "compare": Act(
            "Compare again", "The workers look once more at what differs from the live table."
        ),
        "cancel": Act("Call it off", "The new table is dropped. The live one stays as it is."),
        "rollback": Act(
            "Roll back",
            "The table that is kept is live again, and its subscription folds it on from where it"
            " stood then. The present one is kept in turn, so that this can be taken back.",
        ),
        "forget": Act("Drop the kept table", "There is no going back to it then."),
    }

    def subject_of(self, row: ProjectionSubscription) -> str:
        return row.name

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProjectionSubscription]:
        return ProjectionSubscription.objects.filter(name__in=rebuild.projections())

    def choose(self, request: HttpRequest, word: str) -> Choice:
        name = request.GET.get("name", "")
        if name not in rebuild.projections():
            raise Http404
        last = _last(name)
        return Choice(
            subject=name,
            things=[_thing(name, last, word)] if word in _allowed(name, last) else [],
            shown=[_told(name)],
            perform=lambda who, reason: DO[word](name, who, reason),
            back=links.page("projectionsubscription", name),
        )

    def annotate(self, page: Sequence[Any]) -> None:
        lags = {each.name: each for each in lag.lags()}
        last = rebuild.latest_of_each()
        for each in page:
            each.lag, each.last = lags[each.name], last.get(each.name)

    def page(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        rebuilds = masking.rebuilds(request, rebuild.latest(found.name, limit=SHOWN_REBUILDS))
        last = rebuilds[0] if rebuilds else None
        told = rebuild.found_differences(last.id) if last and last.state == "ready" else None
        return {
            "title": "Projection",
            "table": _table(found.name),
            "lag": next(each for each in lag.lags() if each.name == found.name),
            "last": last,
            "is_alone": last is not None and last.is_open and last.silent > SILENT,
            "badge": formatting.badge(last.state, MOODS[last.state]) if last else "",
            "compared": last if last and last.state == "ready" and not last.swap else None,
            "told": told,
            "differences": _differences(request, found.name, told),
            "rebuilds": rebuilds,
            "hands": self.buttons(request, _allowed(found.name, last), name=found.name),
        }

    @admin.display(description="subscription")
    def state(self, subscription: Any) -> SafeString:
        return badges.badge(subscription.lag)

    @admin.display(description="behind")
    def behind(self, subscription: Any) -> str:
        return (
            f"{subscription.lag.amount}, {formatting.age(subscription.lag.seconds)}"
            if subscription.lag.is_behind
            else "–"
        )

    @admin.display(description="last rebuild")
    def rebuilt(self, subscription: Any) -> SafeString:
        return (
            formatting.badge(subscription.last.state, MOODS[subscription.last.state])
            if subscription.last
            else formatting.NOTHING
        )

    @admin.display(description="how far")
    def far(self, subscription: Any) -> str:
        return f"{subscription.last.percent} %" if subscription.last else "–"

    @admin.display(description="begun")
    def began(self, subscription: Any) -> SafeString:
        return (
            formatting.time(subscription.last.began_at) if subscription.last else formatting.NOTHING
        )

    @admin.display(description="trouble or reason")
    def why(self, subscription: Any) -> str:
        trouble = (
            personal_data.of_rebuild(subscription.last.error)
            if subscription.last and subscription.last.error
            else ""
        )
        return (
            formatting.shortened(trouble or subscription.last.waits_for or subscription.last.reason)
            if subscription.last
            else ""
        )


def _last(name: str) -> Rebuilding | None:
    return next(iter(rebuild.latest(name, limit=1)), None)


def _allowed(name: str, last: Rebuilding | None) -> Sequence[str]:
    if last is None or not last.is_open:
        return (
            ("rebuild", "fold", "rollback", "forget")
            if rebuild.with_replaced(name)
            else ("rebuild", "fold")
        )
    return ("swap", "compare", "cancel") if last.state == "ready" and not last.swap else ("cancel",)


def _thing(name: str, last: Rebuilding | None, word: str) -> tuple[object, ...]:
    """What a person decided about; that a rebuild has come further since is no reason not to call
    it off."""
    if last is None or word == "cancel":
        return (name, last and last.id)
    return (name, last.id, last.state)


def _told(name: str) -> str:
    table = _table(name)
    ((count,),) = rows(ESTIMATE, [table])
    return f"{name}: the table {table}, of about {max(0, count):,} rows"


def _table(name: str) -> str:
    return str(rebuild.projection(name).model._meta.db_table)


def _differences(request: HttpRequest, name: str, told: DiffReport | None) -> Sequence[Difference]:
    model = rebuild.projection(name).model
    return [_difference(request, model, each) for each in told.first] if told else []


def _difference(request: HttpRequest, model: type[Any], found: dict[str, Any]) -> Difference:
    old, new = (
        masking.column(request, model, found["column"], found[side]) for side in ("old", "new")
    )
    return Difference(
        found["key"], found["column"], formatting.in_a_line(old), formatting.in_a_line(new)
    )


def _rebuild(name: str, who: str, reason: str) -> str:
    rebuild.request(name, who=who, reason=reason)
    return "The workers rebuild it, and swap when it is done; this page shows how far they are."


def _fold(name: str, who: str, reason: str) -> str:
    rebuild.request(name, who=who, reason=reason, swap=False)
    return (
        "The workers fold it anew and compare; this page shows how far they are, and then what"
        " differs."
    )


def _swap(name: str, who: str, reason: str) -> str:
    rebuild.request_swap(name, who=who, reason=reason)
    return "The workers swap the tables as soon as nobody is in the way."


def _compare(name: str, who: str, reason: str) -> str:
    rebuild.request_comparison(name, who=who, reason=reason)
    return "The workers compare once more."


def _cancel(name: str, who: str, reason: str) -> str:
    rebuild.cancel(name, who=who, reason=reason)
    return "It is called off; the live table is as it was."


def _roll_back(name: str, who: str, reason: str) -> str:
    position = rebuild.roll_back(name, who=who, reason=reason)
    return f"The table that was kept is live; it is folded on from position {position}."


def _forget(name: str, who: str, reason: str) -> str:
    rebuild.forget(name, who=who, reason=reason)
    return "The table that was kept is dropped."


DO: dict[str, Callable[[str, str, str], str]] = {
    "rebuild": _rebuild,
    "fold": _fold,
    "swap": _swap,
    "compare": _compare,
    "cancel": _cancel,
    "rollback": _roll_back,
    "forget": _forget,
}
