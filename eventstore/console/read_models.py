"""Rows of read models, each with links to the streams that it is folded from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from eventstore.log import search
from eventstore.models import SagaState, Stream
from eventstore.money import Money

from . import finding, formatting, links, masking
from .names import saga_names
from .reveal import RevealingAdmin

WHERE_IT_STANDS = ("streams", "version", "position", "updated")


class ReadModelAdmin(RevealingAdmin):
    """Rows are found by their key, by its last characters where an index allows it, and by other
    columns. The key is the identity in the names of its streams.

    searched_by: columns with an index -> the order of the rows that one value finds.
    """

    search_fields: ClassVar[tuple[str, ...]] = ("pk",)
    ordering: ClassVar[tuple[str, ...]] = ("pk",)
    searched_by: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    is_a_subject = True
    nothing = "No rows yet."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(pk__in=[term, *self._ending(term)])
        for column, values in self.values_of(term).items():
            found |= Q(**{f"{column}__in": values})
        return queryset.filter(found), False

    def found_by(self, request: HttpRequest, terms: Sequence[str]) -> Iterable[QuerySet[Any]]:
        rows = self.get_queryset(request).defer(*self.list_defer)
        yield rows.filter(pk__in=terms)
        for column, values in self.values_of(terms[0]).items():
            yield rows.filter(**{f"{column}__in": values}).order_by(*self.searched_by[column])

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        found = super().get_object(request, object_id, from_field)
        return found and masking.rows(request, [found])[0]

    def values_of(self, term: str) -> Mapping[str, Sequence[str]]:
        """Column -> the values that a term stands for in it."""
        return {column: [term] for column in self.searched_by}

    def _ending(self, term: str) -> Sequence[str]:
        return finding.identities(term) if self.is_found_by_its_end else ()

    def streams(self, row: Model) -> SafeString:
        streams = [links.stream(each.stream) for each in _streams(row)]
        return links.side_by_side(streams) or formatting.NOTHING

    def saga(self, row: Model) -> SafeString:
        found = SagaState.objects.filter(saga__in=saga_names(), key=row.pk).order_by("saga")
        sagas = [links.saga(each.pk, f"{each.saga}: {each.status}") for each in found]
        return links.side_by_side(sagas) or formatting.NOTHING

    def correlation(self, row: Model) -> SafeString:
        """Of the first events of its streams, the oldest first."""
        first: Iterable[UUID] = dict.fromkeys(each.correlation_id for each in _streams(row))
        return links.side_by_side([links.correlation(each) for each in first]) or formatting.NOTHING

    def updated(self, row: Any) -> SafeString:
        return formatting.time(row.updated_at)


def _streams(row: Model) -> QuerySet[Stream]:
    names = search.streams_named(str(row.pk))
    return (
        Stream.objects.filter(stream__in=names, version=1)
        .order_by("position")
        .defer("data", "metadata")
    )


def money(amount: int, row: Any) -> str:
    """amount: in minor units. row: it has a currency and an exponent."""
    return str(Money(amount, row.currency, row.exponent)) if row.currency else formatting.NOTHING


def table(headings: Sequence[str], lines: Iterable[Sequence[object]]) -> SafeString:
    head = format_html_join("", '<th scope="col">{}</th>', ((each,) for each in headings))
    body = format_html_join(
        "",
        "<tr>{}</tr>",
        ((format_html_join("", "<td>{}</td>", ((each,) for each in line)),) for line in lines),
    )
    if not body:
        return formatting.NOTHING
    return format_html(
        '<table class="es-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body
    )


def address(parts: Mapping[str, str] | str) -> SafeString:
    """parts: the fields of the address, or the text that masks it."""
    if isinstance(parts, str):
        return format_html("{}", parts)
    order = ("name", "street", "postcode", "city", "country")
    return format_html_join(
        "", "<div>{}</div>", ((parts[each],) for each in order if parts.get(each))
    )
