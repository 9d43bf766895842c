"""Sagas: every running or finished process, its state and events; and a hand for one that is
stuck."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from eventstore import codec, registry, sagas
from eventstore.log import audit, search
from eventstore.models import SagaState, Stream
from eventstore.postgres import rows
from eventstore.subscriptions import Saga

from . import causation, formatting, links
from . import saga_diagram as steps
from .actions import Act, ActingAdmin, Button, Choice
from .read_only import one_of

# A status is the saga's own word, so the newest ones tell which words there are.
STATUSES = """
    SELECT DISTINCT status
    FROM (SELECT status FROM eventstore_saga ORDER BY id DESC LIMIT 10000) AS newest
    ORDER BY status
"""
LOOKED_THROUGH = 10_000
# Each step of a process has a deadline; one that is at its end has none.
AGES = {
    "at all": timedelta(0),
    "for a minute": timedelta(minutes=1),
    "for an hour": timedelta(hours=1),
    "for a day": timedelta(days=1),
    "for a week": timedelta(weeks=1),
}


def _statuses() -> Iterable[str]:
    """Also when none of the newest waits for a person, one of the old may."""
    return sorted({sagas.NEEDS_ATTENTION, *(status for (status,) in rows(STATUSES))})


def _lately(queryset: QuerySet[SagaState], status: str) -> QuerySet[SagaState]:
    """Those that wait for a person have an index; for the others, the newest are looked through."""
    if status == sagas.NEEDS_ATTENTION:
        return queryset.filter(status=status)
    newest = SagaState.objects.order_by("-id").values_list("id", flat=True).first() or 0
    return queryset.filter(status=status, id__gt=newest - LOOKED_THROUGH)


def _under_way(queryset: QuerySet[SagaState], age: str) -> QuerySet[SagaState]:
    return queryset.filter(deadline_at__isnull=False, started_at__lte=timezone.now() - AGES[age])


def _sagas() -> list[str]:
    return [name for name, each in registry.subscriptions().items() if isinstance(each, Saga)]


@admin.register(SagaState)
class SagaAdmin(ActingAdmin):
    list_display = ("about", "saga", "status", "started", "age", "moved", "deadline")
    list_filter = (
        one_of("age", "age: under way", lambda: AGES, _under_way),
        one_of("status", f"status, of the newest {LOOKED_THROUGH:,}", _statuses, _lately),
    )
    list_defer = ("state",)
    sorted_by = ("age",)
    ordering = ("-id",)
    search_fields = ("key",)
    search_help_text = "The whole key of a process: the id of what it is about."
    nothing = "No process has begun yet."
    page_template = "admin/eventstore/saga.html"
    refusals = (audit.ReasonMissing, sagas.NoSuchSaga, sagas.MovedOn)
    acts = {
        "retry": Act("Retry the step", "The process asks once more for what it waits for."),
        "compensate": Act(
            "Turn back",
            "The process goes no further, and undoes what was done, the last step first.",
        ),
        "skip": Act(
            "Skip the step",
            "The step back that it waits for is taken as done: you saw to it by other means.",
        ),
    }

    def choose(self, request: HttpRequest, word: str) -> Choice:
        found = self.asked_about(request)
        return Choice(
            subject=self.subject_of(found),
            # Its last step: on what it has moved to since, a person would decide anew.
            things=[(found.pk, found.position, found.status)] if word in _allowed(found) else [],
            shown=[f"{found.saga} {found.key}, now {found.status}"],
            perform=lambda who, reason: _told(found, word, who, reason),
            back=links.page("sagastate", found.pk),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SagaState], search_term: str
    ) -> tuple[QuerySet[SagaState], bool]:
        term = search_term.strip()
        return (queryset.filter(saga__in=_sagas(), key=term) if term else queryset), False

    def page(self, request: HttpRequest, found: SagaState) -> dict[str, Any]:
        streams = Stream.objects.filter(version=1, stream__in=search.streams_named(found.key))
        return {
            "title": "Saga",
            "age": self.age(found),
            "state": formatting.pretty(found.state),
            "streams": streams.order_by("position").values_list("stream", flat=True),
            "correlation": causation.correlation(found.correlation_id),
            "buttons": self.hands(request, found),
            "steps": _steps(found),
        }

    def subject_of(self, row: SagaState) -> str:
        return f"{row.saga} {row.key}"

    def hands(self, request: HttpRequest, found: SagaState) -> list[Button]:
        """What its present step allows."""
        return self.buttons(request, _allowed(found), id=found.pk) if self.may_act(request) else []

    @admin.display(description="key")
    def about(self, saga: SagaState) -> SafeString:
        return formatting.short(saga.key)

    @admin.display(description="started")
    def started(self, saga: SagaState) -> SafeString:
        return formatting.time(saga.started_at)

    @admin.display(description="age")
    def age(self, saga: SagaState) -> str:
        return formatting.since(saga.started_at, timezone.now())

    @admin.display(description="last step")
    def moved(self, saga: SagaState) -> SafeString:
        return formatting.time(saga.updated_at)

    @admin.display(description="deadline")
    def deadline(self, saga: SagaState) -> SafeString:
        return formatting.time(saga.deadline_at)


def _steps(found: SagaState) -> steps.Picture | None:
    try:
        return steps.picture(found)
    except (registry.UnknownType, codec.Undecodable):
        return None


def _allowed(found: SagaState) -> list[str]:
    try:
        return sagas.allowed(found.saga, found.key)
    except (sagas.NewerState, codec.Undecodable):
        return []


def _told(found: SagaState, word: str, who: str, reason: str) -> str:
    sagas.intervene(found.saga, found.key, word, seen_at=found.position, who=who, reason=reason)
    return (
        "The process is told, and it is written down; it answers when its turn comes, which this"
        " page then shows."
    )
