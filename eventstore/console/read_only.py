"""The base of every page of the console: nothing can be changed, and no list costs more than the
page that it shows.

A long list is read in stretches of LONGEST_LIST rows: its pages lie within one stretch, and the
next stretch begins after the key of the last row (keyset pagination).
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from eventstore import postgres
from eventstore.log import pages, search
from eventstore.postgres import quoted, rows

from . import masking

# Rows of a stretch: OFFSET reads every row before a page.
LONGEST_LIST = 1_000
# The query parameter with the key after which a stretch begins.
BEYOND = "beyond"

ESTIMATE = "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass"


class BoundedPaginator(Paginator):
    """Counts up to LONGEST_LIST; above that, gives PostgreSQL's own estimate of the table."""

    @cached_property
    def counted(self) -> int:
        # In the order of the list, so that the count uses the list's index.
        queryset: Any = self.object_list
        return int(queryset[: LONGEST_LIST + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self.counted, LONGEST_LIST)

    @cached_property
    def is_cut(self) -> bool:
        return self.counted > LONGEST_LIST

    @cached_property
    def estimate(self) -> int:
        """About how many rows the whole table has, at least those that were counted."""
        queryset: Any = self.object_list
        ((estimated,),) = rows(ESTIMATE, [quoted(queryset.model._meta.db_table)])
        return max(int(estimated), self.counted)

    def last(self, fields: Sequence[str]) -> tuple[Any, ...]:
        """These fields of the stretch's last row."""
        queryset: Any = self.object_list
        return tuple(queryset.values_list(*fields)[LONGEST_LIST - 1])


class BoundedChangeList(ChangeList):
    """next_stretch, first_stretch: their addresses; "" if there is no next one, or if this is the
    first."""

    model_admin: "ReadOnlyAdmin"

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        super().__init__(request, *args)
        is_later = BEYOND in self.params
        self.first_stretch = self.get_query_string(remove=[BEYOND]) if is_later else ""
        # A new search starts at the first stretch.
        self.params.pop(BEYOND, None)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(BEYOND, None)
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Raises IncorrectLookupParameters for an invalid key."""
        found = super().get_queryset(request, exclude_parameters)
        found = found.defer(*self.model_admin.list_defer)
        if BEYOND not in request.GET:
            return found
        fields, comparison = self._order(request)
        meta = found.model._meta
        try:
            parts = zip(fields, _parts(request.GET[BEYOND], len(fields)), strict=True)
            key = [meta.get_field(name).to_python(part) for name, part in parts]
        except (ValidationError, ValueError) as error:
            raise IncorrectLookupParameters(str(error)) from error
        return found.filter(pages.after(fields, comparison, key))

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Always that of an index: Django would sort the table by any column in the address."""
        return list(self.model_admin.get_ordering(request))

    def get_results(self, request: HttpRequest) -> None:
        # A search combines several indexes and sorts the few rows that it finds.
        is_sorted = self.query or any(name in request.GET for name in self.model_admin.sorted_by)
        with postgres.along_indexes(in_their_order=not is_sorted):
            super().get_results(request)
            self.result_list: list[Any] = list(self.result_list)
            paginator: Any = self.paginator
            self.next_stretch = ""
            if paginator.is_cut:
                fields, _ = self._order(request)
                key = [str(each) for each in paginator.last(fields)]
                beyond = key[0] if len(key) == 1 else json.dumps(key)
                self.next_stretch = str(self.get_query_string({BEYOND: beyond}))
        masking.rows(request, self.result_list)
        self.model_admin.annotate(self.result_list)

    def _order(self, request: HttpRequest) -> tuple[list[str], str]:
        """The fields that order the list, and the comparison that leads further down."""
        order = [str(each) for each in self.model_admin.get_ordering(request)]
        fields = [each.removeprefix("-") for each in order]
        return fields, "lt" if order[0].startswith("-") else "gt"

    def url_for_result(self, result: Model) -> str:
        return self.model_admin.url_of(result) or super().url_for_result(result)


def _parts(text: str, count: int) -> Sequence[str]:
    """The values of a key: of several fields, a JSON array. Raises ValueError."""
    text = text.replace("\x00", "")
    if count == 1:
        return [text]
    parts = json.loads(text)
    if not isinstance(parts, list) or not all(isinstance(each, str) for each in parts):
        raise ValueError("a key of several fields is an array of texts")
    return [each.replace("\x00", "") for each in parts]


@method_decorator(require_safe, name="changelist_view")
@method_decorator(require_safe, name="changeform_view")
class ReadOnlyAdmin(admin.ModelAdmin):
    """Subclasses order by fields that are unique together and have an index, all in one direction.

    nothing: text of an empty list. is_a_subject: its rows are what streams, sagas and messages are
    about, by their identity. is_found_by_its_end: its key has an index by its last characters.
    narrow: how many columns a small screen shows.
    """

    actions = None
    paginator = BoundedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_defer: Sequence[str] = ()
    # Filters that leave so few rows that they are sorted; others keep the order of an index.
    sorted_by: Sequence[str] = ()
    change_list_template = "admin/eventstore/change_list.html"
    change_form_template = "admin/eventstore/change_form.html"
    nothing = "Nothing yet."
    is_a_subject = False
    is_found_by_its_end = False
    narrow = 3

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if not apps.is_installed("eventstore.console"):
            raise ImproperlyConfigured(
                f"{type(self).__name__} is a page of the console: add 'eventstore.console' to"
                " INSTALLED_APPS, before 'django.contrib.admin'."
            )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only the list's own filters. Django would otherwise search any column by any pattern in
        the address."""
        filters: Sequence[Any] = self.list_filter
        return lookup in {name for each in filters for name in each.parameters()}

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        # PostgreSQL stores no NUL, so no key has one; a query with one would fail.
        return None if "\x00" in object_id else super().get_object(request, object_id, from_field)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        ours = {"title": str(self.opts.verbose_name_plural).capitalize(), "nothing": self.nothing}
        return super().changelist_view(request, ours | (extra_context or {}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: Any = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        return super().changeform_view(request, object_id, form_url, extra_context)

    def annotate(self, page: Sequence[Any]) -> None:
        """Add what the list shows besides columns to the rows of one page, by one query for all."""

    def found_by(self, request: HttpRequest, terms: Sequence[str]) -> Iterable[QuerySet[Any]]:
        """The rows that the search over everything shows for any of these terms. Each query uses
        one index, and is cut by the caller."""
        return ()

    def url_of(self, row: Any) -> str:
        """The address of a row's page; "" if it has the primary key."""
        return ""


class ChoiceFilter(admin.SimpleListFilter):
    """A filter by one of a few known values, so that no query has to look for them.

    Subclasses set title, parameter_name and values, or override offered. They override narrow to
    filter by something else than the column called parameter_name.
    """

    parameter_name: str
    values: ClassVar[Sequence[str]] = ()

    @classmethod
    def parameters(cls) -> Sequence[str]:
        return (cls.parameter_name,)

    def offered(self) -> Iterable[str]:
        return self.values

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(**{self.parameter_name: value})

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.offered()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        if value not in dict(self.lookup_choices):
            raise IncorrectLookupParameters
        return self.narrow(queryset, value)


class TimeFilter(admin.ListFilter):
    """A filter by a range of time, as a form of two fields; each may be empty.

    Subclasses set title and define narrow.
    """

    template = "admin/eventstore/time_filter.html"

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.range = {name: str(params.pop(name, [""])[-1]) for name in self.parameters()}
        self.used_parameters |= {name: value for name, value in self.range.items() if value}
        ours = (*self.parameters(), "p", BEYOND)
        self.others = [(name, value) for name, value in request.GET.items() if name not in ours]

    @classmethod
    def parameters(cls) -> Sequence[str]:
        return ("since", "until")

    def narrow(
        self, queryset: QuerySet[Any], since: datetime | None, until: datetime | None
    ) -> QuerySet[Any]:
        """From since up to, but not including, until."""
        raise NotImplementedError

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.parameters())

    def choices(self, changelist: Any) -> Any:
        return [{**self.range, "others": self.others}]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        try:
            found = search.wanted(self.range)
        except search.NotATime as error:
            raise IncorrectLookupParameters(str(error)) from error
        return self.narrow(queryset, found.since, found.until)
