"""What every page of the admin has in common: nothing can be changed, and no list costs more than
its page.

A long list is read in stretches: pages are turned within one, and the next begins behind the key of
its last row.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from eventstore import postgres
from eventstore.log import search
from eventstore.postgres import rows

from . import masking

# As far as pages are turned within a stretch: each costs all that lies before it there.
LONGEST_LIST = 1_000
BEYOND = "beyond"

ESTIMATE = "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass"


class BoundedPaginator(Paginator):
    """Counts to LONGEST_LIST and no further; beyond that, PostgreSQL's own estimate of the table is
    told."""

    @cached_property
    def counted(self) -> int:
        # In the order of the list, so that it is counted along the index that the list is read by.
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
        """How many rows the whole table has, about; never less than what was counted."""
        queryset: Any = self.object_list
        ((estimated,),) = rows(ESTIMATE, [queryset.model._meta.db_table])
        return max(int(estimated), self.counted)

    def last(self, field: str) -> Any:
        """That of the last row that pages are turned to."""
        queryset: Any = self.object_list
        return queryset.values_list(field, flat=True)[LONGEST_LIST - 1]


class BoundedChangeList(ChangeList):
    """further: the address of the next stretch. from_the_beginning: of the first. Each is empty
    where this is it."""

    model_admin: "ReadOnlyAdmin"

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        super().__init__(request, *args)
        self.from_the_beginning = (
            self.get_query_string(remove=[BEYOND]) if BEYOND in self.params else ""
        )
        # Who searches anew does so from the beginning.
        self.params.pop(BEYOND, None)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(BEYOND, None)
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        found = (
            super().get_queryset(request, exclude_parameters).defer(*self.model_admin.list_defer)
        )
        return (
            _behind(found, self._place(request), request.GET[BEYOND])
            if BEYOND in request.GET
            else found
        )

    def get_results(self, request: HttpRequest) -> None:
        # What is searched for is found by several indexes at once, and then sorted: it is little.
        is_sorted = self.query or any(name in request.GET for name in self.model_admin.sorted_by)
        with postgres.along_indexes(in_their_order=not is_sorted):
            super().get_results(request)
            self.result_list: list[Any] = list(self.result_list)
            self.further = self._further(request)
        masking.rows(request, self.result_list)
        self.model_admin.annotate(self.result_list)

    def _further(self, request: HttpRequest) -> str:
        paginator: Any = self.paginator
        if not paginator.is_cut:
            return ""
        key = paginator.last(self._place(request).removeprefix("-"))
        return str(self.get_query_string({BEYOND: key}))

    def _place(self, request: HttpRequest) -> str:
        """The field that the list is in the order of, as an ordering has it."""
        return str(self.model_admin.get_ordering(request)[0])

    def url_for_result(self, result: Model) -> str:
        return self.model_admin.url_of(result) or super().url_for_result(result)


def _behind(found: QuerySet[Any], place: str, said: str) -> QuerySet[Any]:
    """What comes after that key, along the index that the list is read by. Raises
    IncorrectLookupParameters."""
    field = place.removeprefix("-")
    try:
        key = found.model._meta.get_field(field).to_python(said.replace("\x00", ""))
    except ValidationError as error:
        raise IncorrectLookupParameters(str(error)) from error
    return found.filter(**{f"{field}__{'gt' if field == place else 'lt'}": key})


@method_decorator(require_safe, name="changelist_view")
@method_decorator(require_safe, name="changeform_view")
class ReadOnlyAdmin(admin.ModelAdmin):
    """Subclasses name an ordering that an index gives, by what no two rows share. nothing: what an
    empty list says."""

    actions = None
    paginator = BoundedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_defer: Sequence[str] = ()
    # Filters by which so little is left that it is sorted; of all others an index has the order.
    sorted_by: Sequence[str] = ()
    change_list_template = "admin/eventstore/change_list.html"
    change_form_template = "admin/eventstore/change_form.html"
    nothing = "There is nothing yet."

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only the filters that are offered; Django would search any column by any pattern that an
        address asks for."""
        offered: Sequence[Any] = self.list_filter
        return lookup in {name for each in offered for name in each.parameters}

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        # PostgreSQL takes no NUL, so nothing is named by one.
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
        """Give the rows of one page what the list shows beside them; one query for all of them."""

    def url_of(self, row: Any) -> str:
        """Where a row of the list leads to, when not to its primary key."""
        return ""


def one_of(
    parameter: str,
    title: str,
    choices: Callable[[], Iterable[str]],
    narrow: Callable[[QuerySet[Any], str], QuerySet[Any]] | None = None,
) -> type[admin.SimpleListFilter]:
    """A filter whose choices the code knows, so that no table is searched for them."""

    class OneOf(admin.SimpleListFilter):
        parameters: Sequence[str]

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(choice, choice) for choice in choices()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            chosen = self.value()
            if chosen is None:
                return queryset
            if chosen not in dict(self.lookup_choices):
                raise IncorrectLookupParameters
            return narrow(queryset, chosen) if narrow else queryset.filter(**{parameter: chosen})

    OneOf.title, OneOf.parameter_name, OneOf.parameters = title, parameter, (parameter,)
    return OneOf


def between(
    title: str, narrow: Callable[[QuerySet[Any], datetime | None, datetime | None], QuerySet[Any]]
) -> type[admin.ListFilter]:
    """A filter by a stretch of time, as two fields of a form; either may be left open."""

    class Between(admin.ListFilter):
        parameters = ("since", "until")
        template = "admin/eventstore/between.html"

        def __init__(
            self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any
        ) -> None:
            super().__init__(request, params, model, model_admin)
            self.said = {name: str(params.pop(name, [""])[-1]) for name in self.parameters}
            self.used_parameters |= {name: value for name, value in self.said.items() if value}
            ours = (*self.parameters, "p", BEYOND)
            self.others = [(name, value) for name, value in request.GET.items() if name not in ours]

        def has_output(self) -> bool:
            return True

        def expected_parameters(self) -> list[str | None]:
            return list(self.parameters)

        def choices(self, changelist: Any) -> Any:
            return [{**self.said, "others": self.others}]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            try:
                asked = search.wanted(self.said)
            except search.NotATime as error:
                raise IncorrectLookupParameters(str(error)) from error
            return narrow(queryset, asked.since, asked.until)

    Between.title = title
    return Between
