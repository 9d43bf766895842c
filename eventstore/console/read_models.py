"""Rows of read models, each with the way back to the streams that it is folded from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from eventstore import registry
from eventstore.log import search
from eventstore.models import SagaState, Stream
from eventstore.money import Money
from eventstore.subscriptions import Saga

from . import formatting, links, masking
from .reveal import RevealingAdmin

WHERE_IT_STANDS = ("streams", "version", "position", "updated")


class ReadModelAdmin(RevealingAdmin):
    """Found by its whole key, or by what `named` says. The key is what its streams are about."""

    search_fields: ClassVar[tuple[str, ...]] = ("pk",)
    nothing = "No row yet: its projection has heard of none."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (self.named(queryset, term) if term else queryset), False

    def find(self, request: HttpRequest, key: str) -> Any:
        return self.get_object(request, key)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        found = super().get_object(request, object_id, from_field)
        return found and masking.rows(request, [found])[0]

    def named(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(pk=term)

    def streams(self, row: Model) -> SafeString:
        return (
            links.side_by_side([links.stream(each.stream) for each in _streams(row)])
            or formatting.NOTHING
        )

    def saga(self, row: Model) -> SafeString:
        names = [name for name, each in registry.subscriptions().items() if isinstance(each, Saga)]
        found = SagaState.objects.filter(saga__in=names, key=row.pk).order_by("saga")
        return (
            links.side_by_side(
                [links.saga(each.pk, f"{each.saga}: {each.status}") for each in found]
            )
            or formatting.NOTHING
        )

    def correlation(self, row: Model) -> SafeString:
        """Of what its streams began with, the oldest first."""
        begun: Iterable[UUID] = dict.fromkeys(each.correlation_id for each in _streams(row))
        return links.side_by_side([links.correlation(each) for each in begun]) or formatting.NOTHING

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
    """row: with a currency and an exponent."""
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
    """A text stands for one that is hidden."""
    if isinstance(parts, str):
        return format_html("{}", parts)
    order = ("name", "street", "postcode", "city", "country")
    return format_html_join(
        "", "<div>{}</div>", ((parts[each],) for each in order if parts.get(each))
    )
