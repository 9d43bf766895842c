"""One search over everything that the console lists, by an index each: whole ids, the last
characters of an id, and what else a list is searched by."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import F, Model, QuerySet, Value
from django.db.models.fields import TextField
from django.db.models.functions import Cast, Collate, Reverse
from django.http import HttpRequest
from django.utils.safestring import SafeString

from eventstore.log import search

from . import links
from .names import identity_of
from .read_only import ReadOnlyAdmin

# Rows of each list that a search shows.
SHOWN = 10
# Fewer characters are the end of too many ids.
SHORTEST = 6
# Names of streams may be this long, with their category.
LONGEST = 300
# Behind each text that begins with the same characters.
LAST = "\U0010ffff"


class Hit(NamedTuple):
    """A row that a search found."""

    text: str
    address: str


class Hits(NamedTuple):
    """The rows of one list. more: the address of the list with the same search, if it has more."""

    kind: str
    rows: Sequence[Hit]
    more: str = ""


def everything(request: HttpRequest, term: str) -> list[Hits]:
    """What the request's user may see, or everything for a command, which has no user. Lists
    without a match are left out."""
    term = term.strip().replace("\x00", "")
    if not term:
        return []
    terms = [term, *identities(term)]
    return [hits for each in _searched(request) if (hits := _in(each, request, term, terms))]


def identities(term: str) -> list[str]:
    """The whole ids that end with these characters; one query."""
    term = term.strip().lstrip("…").replace("\x00", "")
    if len(term) < SHORTEST:
        return []
    parts = [_ending(model, term) for model, page in _pages() if page.is_found_by_its_end]
    if not parts:
        return []
    found = parts[0].union(*parts[1:]) if parts[1:] else parts[0]
    return sorted({str(each) for (each,) in found} - {term})


def pages_about(names: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """Name of a stream, or identity -> the kind and address of each page about its subject: the
    order of a payment, say. One query."""
    identities = {name: _identity(name) for name in names}
    described = [each for each in _pages() if each[1].is_a_subject]
    if not identities or not described:
        return {}
    parts = [
        model._default_manager.filter(pk__in=set(identities.values()))
        .order_by()
        .annotate(es_kind=Value(number), es_key=Cast("pk", TextField()))
        .values_list("es_kind", "es_key")
        for number, (model, _) in enumerate(described)
    ]
    found: dict[str, list[tuple[str, str]]] = {}
    for number, key in sorted(parts[0].union(*parts[1:], all=True)):
        model = described[number][0]
        kind = str(model._meta.verbose_name)
        found.setdefault(key, []).append((kind, links.of(model, key)))
    return {name: found[key] for name, key in identities.items() if key in found}


def subjects(name: str) -> SafeString:
    """Links to the pages about the subject of a stream, or of an identity."""
    return links.subjects(pages_about([name]).get(name, ()))


def _identity(name: str) -> str:
    """Of a stream's name; a text that is none is an identity itself."""
    identity = identity_of(name)
    return identity if identity and name in search.streams_named(identity) else name


def _ending(model: type[Model], term: str) -> QuerySet[Any, Any]:
    beginning = term[::-1]
    return (
        model._default_manager.alias(reversed=Collate(Reverse(F("pk")), "C"))
        .filter(reversed__gte=beginning, reversed__lt=beginning + LAST)
        .order_by("reversed")
        .values_list("pk")[:SHOWN]
    )


def _pages() -> Iterator[tuple[type[Model], ReadOnlyAdmin]]:
    for model, page in admin.site._registry.items():
        if isinstance(page, ReadOnlyAdmin):
            yield model, page


def _searched(request: HttpRequest) -> list[ReadOnlyAdmin]:
    """Orders and the like come before the machinery."""
    is_command = not hasattr(request, "user")
    found = [page for _, page in _pages() if is_command or page.has_view_permission(request)]
    return sorted(found, key=lambda page: not page.is_a_subject)


def _in(page: ReadOnlyAdmin, request: HttpRequest, term: str, terms: Sequence[str]) -> Hits | None:
    parts = [found[: SHOWN + 1] for found in page.found_by(request, terms)]
    rows = list({each.pk: each for each in chain(*parts)}.values())
    if not rows:
        return None
    hits = [Hit(str(each), page.url_of(each) or links.of(type(each), each.pk)) for each in rows]
    more = links.list_of(page.model, q=term) if hits[SHOWN:] and page.search_fields else ""
    return Hits(str(page.opts.verbose_name_plural).capitalize(), hits[:SHOWN], more)
