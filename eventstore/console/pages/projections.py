"""Projections: each read model with its table. Workers rebuild it beside the live table, swap the
two, and can roll back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.contrib import admin
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils.safestring import SafeString

from eventstore.console import formatting, links, masking
from eventstore.console.actions import Act, ActingAdmin, Choice
from eventstore.console.read_only import ESTIMATE
from eventstore.log import audit
from eventstore.models import ProjectionSubscription
from eventstore.operations import lag
from eventstore.postgres import rows
from eventstore.privacy import personal_data
from eventstore.projections import rebuild
from eventstore.projections.rebuild import Rebuilding

SHOWN_REBUILDS = 20
# Seconds without progress after which an open rebuild counts as abandoned.
SILENT = 15.0

LEVELS = {
    "folding": "waiting",
    "ready": "waiting",
    "swapped": "good",
    "taken back": "waiting",
    "failed": "bad",
    "cancelled": "",
}


class Difference(NamedTuple):
    """old, new: values as text on one line."""

    key: str
    column: str
    old: str
    new: str


@admin.register(ProjectionSubscription)
class ProjectionAdmin(ActingAdmin):
    list_display = ("name", "state", "behind", "rebuilt", "progress", "began", "why")
    ordering = ("name",)
    nothing = "The wiring has no projections."
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
            "The workers fold the whole log into a new table and then swap it with the live one in"
            " one commit. Readers see the live table until then. No message is sent.",
        ),
        "fold": Act(
            "Rebuild and compare",
            "The workers fold the whole log into a new table and stop. This page then lists the"
            " differences from the live table, and you decide whether to swap.",
        ),
        "swap": Act(
            "Swap",
            "The workers fold the latest events and swap the new table with the live one in one"
            " commit. The old table is kept for a rollback.",
        ),
        "compare": Act("Compare again", "The workers compare the two tables again."),
        "cancel": Act("Cancel the rebuild", "Drops the new table. The live table stays as it is."),
        "rollback": Act(
            "Roll back",
            "The kept table becomes live again, and its subscription folds the events since then."
            " The present table is kept in turn, so a rollback can be undone.",
        ),
        "forget": Act("Drop the kept table", "A rollback is no longer possible.", is_final=True),
    }

    def subject_of(self, row: ProjectionSubscription) -> str:
        return row.name

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProjectionSubscription]:
        return ProjectionSubscription.objects.filter(name__in=rebuild.projections())

    def choose(self, request: HttpRequest, act: str) -> Choice:
        name = request.GET.get("name", "")
        if name not in rebuild.projections():
            raise Http404
        last = next(iter(rebuild.latest(name, limit=1)), None)
        table = _table(name)
        ((count,),) = rows(ESTIMATE, [table])
        seen: tuple[object, ...] = (name, last and last.id)
        # Progress since the page was shown does not invalidate a cancellation.
        if last is not None and act != "cancel":
            seen = (name, last.id, last.state)
        do, done = DO[act]
        return Choice(
            subject=name,
            things=[seen] if act in _allowed(name, last) else [],
            shown=[f"{name}: the table {table}, of about {max(0, count):,} rows"],
            perform=lambda who, reason: done.format(do(name, who=who, reason=reason)),
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
        report = rebuild.found_differences(last.id) if last and last.state == "ready" else None
        model = rebuild.projection(found.name).model
        differences = []
        for each in report.first if report else ():
            name = each["column"]
            old, new = (
                formatting.in_a_line(masking.column(request, model, name, each[side]))
                for side in ("old", "new")
            )
            differences.append(Difference(each["key"], name, old, new))
        return {
            "title": "Projection",
            "table": _table(found.name),
            "lag": next(each for each in lag.lags() if each.name == found.name),
            "last": last,
            "is_abandoned": last is not None and last.is_open and last.silent > SILENT,
            "badge": formatting.badge(last.state, LEVELS[last.state]) if last else "",
            "compared": last if last and last.state == "ready" and not last.swap else None,
            "report": report,
            "differences": differences,
            "rebuilds": rebuilds,
            "rebuild_buttons": self.buttons(request, _allowed(found.name, last), name=found.name),
        }

    @admin.display(description="subscription")
    def state(self, subscription: Any) -> SafeString:
        return formatting.subscription_badge(subscription.lag)

    @admin.display(description="behind")
    def behind(self, subscription: Any) -> str:
        lag = subscription.lag
        return f"{lag.amount}, {formatting.age(lag.seconds)}" if lag.is_behind else "–"

    @admin.display(description="last rebuild")
    def rebuilt(self, subscription: Any) -> SafeString:
        last = subscription.last
        return formatting.badge(last.state, LEVELS[last.state]) if last else formatting.NOTHING

    @admin.display(description="progress")
    def progress(self, subscription: Any) -> str:
        return f"{subscription.last.percent} %" if subscription.last else "–"

    @admin.display(description="started")
    def began(self, subscription: Any) -> SafeString:
        return formatting.time(subscription.last and subscription.last.began_at)

    @admin.display(description="error or reason")
    def why(self, subscription: Any) -> str:
        last = subscription.last
        if not last:
            return ""
        error = personal_data.of_rebuild(last.error) if last.error else ""
        return formatting.shortened(error or last.waits_for or last.reason)


def _allowed(name: str, last: Rebuilding | None) -> Sequence[str]:
    if last is None or not last.is_open:
        kept = ("rollback", "forget") if rebuild.with_replaced(name) else ()
        return ("rebuild", "fold", *kept)
    return ("swap", "compare", "cancel") if last.state == "ready" and not last.swap else ("cancel",)


def _table(name: str) -> str:
    return str(rebuild.projection(name).model._meta.db_table)


# The operation of each action, and what the operator reads after it; {} is what it returns.
DO: dict[str, tuple[Callable[..., object], str]] = {
    "rebuild": (rebuild.request, "Rebuild requested. The workers swap the tables when it is done."),
    "fold": (
        partial(rebuild.request, swap=False),
        "Rebuild requested. This page lists the differences when it is done.",
    ),
    "swap": (
        rebuild.request_swap,
        "Swap requested. The workers swap the tables as soon as they get the lock.",
    ),
    "compare": (rebuild.request_comparison, "Comparison requested."),
    "cancel": (rebuild.cancel, "Rebuild cancelled. The live table is unchanged."),
    "rollback": (
        rebuild.roll_back,
        "Rolled back. The kept table is live and continues from position {}.",
    ),
    "forget": (rebuild.forget, "The kept table is dropped."),
}
