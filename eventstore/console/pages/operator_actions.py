"""The audit trail: who did what by hand, when, why and to what. Append-only."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from eventstore.console import formatting, links
from eventstore.console.detail import PageAdmin
from eventstore.console.read_only import ChoiceFilter, TimeFilter
from eventstore.log import audit
from eventstore.models import OperatorAction


class KnownValueFilter(ChoiceFilter):
    def offered(self) -> Iterable[str]:
        return audit.known(self.parameter_name)


class ActionFilter(KnownValueFilter):
    title = parameter_name = "action"


class WhoFilter(KnownValueFilter):
    title = parameter_name = "who"


class DoneFilter(TimeFilter):
    title = "time"

    def narrow(
        self, queryset: QuerySet[Any], since: datetime | None, until: datetime | None
    ) -> QuerySet[Any]:
        return audit.done_between(queryset, since, until)


@admin.register(OperatorAction)
class OperatorActionAdmin(PageAdmin):
    list_display = ("when", "who", "action", "subject", "why")
    list_filter = (ActionFilter, WhoFilter, DoneFilter)
    list_defer = ("details",)
    ordering = ("-id",)
    search_fields = ("subject",)
    search_help_text = (
        "The full subject: the name of a stream or of a subscription, order and its id, a saga and"
        " its key."
    )
    nothing = "No operator actions yet."
    hides = False
    page_template = "admin/eventstore/operator_action.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OperatorAction], search_term: str
    ) -> tuple[QuerySet[OperatorAction], bool]:
        term = search_term.strip()
        return (queryset.filter(subject=term) if term else queryset), False

    def page(self, request: HttpRequest, found: OperatorAction) -> dict[str, Any]:
        return {
            "title": "Operator action",
            "details": formatting.pretty(found.details),
            "same_subject": links.listing("operatoraction", q=found.subject),
            "same_person": links.listing("operatoraction", who=found.who),
        }

    def page_links(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """None: this page is itself an entry of the audit trail."""
        return {}

    @admin.display(description="when")
    def when(self, action: OperatorAction) -> SafeString:
        return formatting.time(action.at)

    @admin.display(description="reason")
    def why(self, action: OperatorAction) -> str:
        return formatting.shortened(action.reason)
