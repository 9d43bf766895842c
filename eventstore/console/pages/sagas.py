"""Sagas: every process with its state, its steps and its events; and actions for one that is
stuck."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from eventstore import codec, registry, sagas
from eventstore.console import dossier, finding, formatting, links, selection
from eventstore.console.actions import SHOWN, Act, Button, Choice
from eventstore.console.diagrams import causation
from eventstore.console.diagrams import saga as saga_diagram
from eventstore.console.names import saga_names
from eventstore.console.read_only import ChoiceFilter
from eventstore.console.selection import SelectingAdmin
from eventstore.log import audit, search
from eventstore.models import SagaState, Stream
from eventstore.postgres import rows

# Each saga defines its own statuses, so this reads them from the newest rows.
STATUSES = """
    SELECT DISTINCT status
    FROM (SELECT status FROM eventstore_saga ORDER BY id DESC LIMIT 10000) AS newest
    ORDER BY status
"""
LOOKED_THROUGH = 10_000
AGES = {
    "at all": timedelta(0),
    "for a minute": timedelta(minutes=1),
    "for an hour": timedelta(hours=1),
    "for a day": timedelta(days=1),
    "for a week": timedelta(weeks=1),
}


class AgeFilter(ChoiceFilter):
    title = "age: under way"
    parameter_name = "age"
    values = tuple(AGES)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        # Every step but the last has a deadline.
        started = timezone.now() - AGES[value]
        return queryset.filter(deadline_at__isnull=False, started_at__lte=started)


class StatusFilter(ChoiceFilter):
    title = f"status, of the newest {LOOKED_THROUGH:,}"
    parameter_name = "status"

    def offered(self) -> Iterable[str]:
        # An old saga may need attention when none of the newest does.
        return sorted({sagas.NEEDS_ATTENTION, *(status for (status,) in rows(STATUSES))})

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        # Only those that need attention have an index; for other statuses, the newest are read.
        if value == sagas.NEEDS_ATTENTION:
            return queryset.filter(status=value)
        newest = SagaState.objects.order_by("-id").values_list("id", flat=True).first() or 0
        return queryset.filter(status=value, id__gt=newest - LOOKED_THROUGH)


@admin.register(SagaState)
class SagaAdmin(SelectingAdmin):
    list_display = (
        "selected",
        "about",
        "status",
        "age",
        "saga",
        "subject",
        "started",
        "last_step",
        "deadline",
    )
    list_display_links = ("about",)
    bulk = ("retry", "compensate", "skip")
    list_filter = (AgeFilter, StatusFilter)
    list_defer = ("state",)
    ordering = ("-id",)
    search_fields = ("key",)
    search_help_text = "The key of a saga, such as the id of an order, or its last characters."
    nothing = "No saga has started yet."
    page_template = "admin/eventstore/saga.html"
    refusals = (audit.ReasonMissing, sagas.NoSuchSaga, sagas.MovedOn)
    acts = {
        "retry": Act(
            "Retry the step",
            "The saga sends the commands of its present step again.",
            "Its page shows the pending call and its next attempt, and then the next step.",
        ),
        "compensate": Act(
            "Compensate",
            "The saga stops and undoes its completed steps, the last one first.",
            "Its page shows each undo step. If one is refused, the saga needs attention again.",
            is_final=True,
        ),
        "skip": Act(
            "Skip the step",
            "The compensation step that the saga waits for counts as done: you have done it by"
            " other means.",
            "Check that the provider's record shows what you did by hand.",
            is_final=True,
        ),
    }

    def get_ordering(self, request: HttpRequest | None) -> tuple[str, ...]:
        # The index of those under way is in the order of their deadlines.
        under_way = request is not None and AgeFilter.parameter_name in request.GET
        return ("deadline_at", "id") if under_way else self.ordering

    def choose(self, request: HttpRequest, act: str) -> Choice:
        ids = selection.ids(request)
        asked = list(SagaState.objects.filter(id__in=ids, saga__in=saga_names()).order_by("id"))
        if not asked or len(asked) != len(ids):
            raise Http404
        found = [each for each in asked if act in _allowed(each)]

        def perform(who: str, reason: str) -> str:
            with transaction.atomic():
                for each in found:
                    at = each.position
                    sagas.intervene(each.saga, each.key, act, seen_at=at, who=who, reason=reason)
            return f"Sent to the saga and recorded: {len(found)}."

        is_one = len(asked) == 1
        return Choice(
            subject=self.subject_of(asked[0]) if is_one else f"{len(asked)} sagas",
            # With its step: an operator has to decide again after it moved on.
            things=[(each.pk, each.position, each.status) for each in found],
            shown=_described(found[:SHOWN]),
            perform=perform,
            back=links.page("sagastate", asked[0].pk) if is_one else links.listing("sagastate"),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SagaState], search_term: str
    ) -> tuple[QuerySet[SagaState], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        keys = [term, *finding.identities(term)]
        return queryset.filter(saga__in=saga_names(), key__in=keys), False

    def found_by(self, request: HttpRequest, terms: Sequence[str]) -> Iterable[QuerySet[SagaState]]:
        yield SagaState.objects.filter(saga__in=saga_names(), key__in=terms).defer("state")

    def annotate(self, page: Sequence[Any]) -> None:
        subjects = finding.pages_about({each.key for each in page})
        for each in page:
            each.subjects = links.subjects(subjects.get(each.key, ()))

    def page(self, request: HttpRequest, found: SagaState) -> dict[str, Any]:
        streams = Stream.objects.filter(version=1, stream__in=search.streams_named(found.key))
        try:
            steps = saga_diagram.picture(found)
        except (registry.UnknownType, codec.Undecodable):
            steps = None
        return {
            "title": "Saga",
            "age": self.age(found),
            "state": formatting.pretty(found.state),
            "subjects": finding.subjects(found.key),
            "pending": dossier.pending(request, found.key),
            "streams": streams.order_by("position").values_list("stream", flat=True),
            "correlation": causation.correlation(found.correlation_id),
            "buttons": self.action_buttons(request, found),
            "steps": steps,
        }

    def subject_of(self, row: SagaState) -> str:
        return f"{row.saga} {row.key}"

    def action_buttons(self, request: HttpRequest, found: SagaState) -> list[Button]:
        """The actions that its present step allows."""
        return self.buttons(request, _allowed(found), id=found.pk) if self.may_act(request) else []

    @admin.display(description="key")
    def about(self, saga: SagaState) -> SafeString:
        return formatting.short(saga.key)

    @admin.display(description="about")
    def subject(self, saga: Any) -> SafeString:
        found: SafeString = saga.subjects
        return found

    @admin.display(description="started")
    def started(self, saga: SagaState) -> SafeString:
        return formatting.time(saga.started_at)

    @admin.display(description="age")
    def age(self, saga: SagaState) -> str:
        return formatting.since(saga.started_at, timezone.now())

    @admin.display(description="last step")
    def last_step(self, saga: SagaState) -> SafeString:
        return formatting.time(saga.updated_at)

    @admin.display(description="deadline")
    def deadline(self, saga: SagaState) -> SafeString:
        return formatting.time(saga.deadline_at)


def _described(found: Sequence[SagaState]) -> list[SafeString]:
    """Each saga, its step, and the order that it is about; one query."""
    subjects = finding.pages_about({each.key for each in found})
    return [
        format_html(
            "{}, now {}, {}",
            links.saga(each.pk, f"{each.saga} {each.key}"),
            each.status,
            links.subjects(subjects.get(each.key, ())),
        )
        for each in found
    ]


def _allowed(found: SagaState) -> list[str]:
    try:
        return sagas.allowed(found.saga, found.key)
    except (sagas.NewerState, codec.Undecodable):
        return []
