"""Selected rows of a list: a box before each, and buttons that act on those that are checked."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .actions import ActingAdmin, Button

# Rows that one confirmation acts on; a page of a list has fewer.
MOST_IDS = 100


class SelectingAdmin(ActingAdmin):
    """bulk: the actions on selected rows. They take their rows from `ids`."""

    bulk: Sequence[str] = ()
    narrow = 4

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return (
            shown if self._may_select(request) else [each for each in shown if each != "selected"]
        )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        bulk = []
        if self._may_select(request):
            bulk = [Button(self.acts[act].label, self.address(act)) for act in self.bulk]
        return super().changelist_view(request, {"bulk": bulk} | (extra_context or {}))

    def _may_select(self, request: HttpRequest) -> bool:
        # A command has no user.
        return hasattr(request, "user") and self.may_act(request)

    @admin.display(description="select")
    def selected(self, row: Any) -> SafeString:
        return format_html(
            '<input type="checkbox" form="es-bulk" name="id" value="{}" aria-label="Select {}">',
            row.pk,
            row,
        )


def ids(request: HttpRequest) -> list[int]:
    """The ids in the address. Raises Http404 for anything else."""
    given = request.GET.getlist("id")
    if len(given) > MOST_IDS or not all(
        each.isascii() and each.isdigit() and len(each) < 19 for each in given
    ):
        raise Http404
    return sorted({int(each) for each in given})
