"""What people did by hand: who, when, why, and to what. Only ever added to."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from eventstore.log import audit
from eventstore.models import OperatorAction

from . import formatting, links
from .detail import PageAdmin
from .read_only import between, one_of


def _known(column: str) -> Callable[[], Iterable[str]]:
    return lambda: audit.known(column)


@admin.register(OperatorAction)
class OperatorActionAdmin(PageAdmin):
    list_display = ("when", "who", "action", "subject", "why")
    list_filter = (
        one_of("action", "action", _known("action")),
        one_of("who", "who", _known("who")),
        between("time", audit.done_between),
    )
    list_defer = ("details",)
    ordering = ("-id",)
    search_fields = ("subject",)
    search_help_text = (
        "The whole name of what it was done to: a stream, a subscription, order and its id, a saga"
        " and its key."
    )
    nothing = "Nobody has had to do anything by hand."
    hides = False
    page_template = "admin/eventstore/operator_action.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OperatorAction], search_term: str
    ) -> tuple[QuerySet[OperatorAction], bool]:
        term = search_term.strip()
        return (queryset.filter(subject=term) if term else queryset), False

    def page(self, request: HttpRequest, found: OperatorAction) -> dict[str, Any]:
        return {
            "title": "Done by hand",
            "details": formatting.pretty(found.details),
            "same": links.listing("operatoraction", q=found.subject),
            "theirs": links.listing("operatoraction", who=found.who),
        }

    def beside(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """It is told here what was done."""
        return {}

    @admin.display(description="when")
    def when(self, action: OperatorAction) -> SafeString:
        return formatting.time(action.at)

    @admin.display(description="reason")
    def why(self, action: OperatorAction) -> str:
        return formatting.shortened(action.reason)
