"""Addresses of pages, and links to them."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from eventstore import registry

from . import formatting
from .names import category_of


def link(address: str, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', address, text)


def page(model: str, key: str | int | UUID, **query: object) -> str:
    """The page of a row of the event store. model: its name in lower case."""
    return with_query(reverse(f"admin:eventstore_{model}_change", args=[quote(key)]), query)


def of(model: type[Model], key: str | int) -> str:
    """The page of a row of any app."""
    return reverse(
        f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(key)]
    )


def with_query(address: str, query: Mapping[str, object]) -> str:
    return f"{address}?{urlencode(query)}" if query else address


def list_of(model: type[Model], **query: object) -> str:
    """The list of any model."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return with_query(reverse(name), query)


def listing(model: str, **query: object) -> str:
    return with_query(reverse(f"admin:eventstore_{model}_changelist"), query)


def stream(name: str, text: object = None, *, version: int | None = None) -> SafeString:
    query = {} if version is None else {"version": version}
    return link(page("stream", name, **query), text or name)


def event(key: UUID | int, text: object) -> SafeString:
    """By its id or by its position."""
    return link(page("event", key), text)


def subscription(name: str) -> SafeString:
    return link(page("subscription", name), name)


def saga(process: int, text: object) -> SafeString:
    return link(page("sagastate", process), text)


def correlation(correlation_id: UUID, text: object = None) -> SafeString:
    """To the page of all events of a correlation."""
    return link(
        reverse("admin:eventstore_event_correlation", args=[correlation_id]), text or correlation_id
    )


def known_stream(key: str) -> SafeString:
    """A shortened key for lists; a link if it is the name of a stream."""
    text = formatting.short(key)
    return stream(key, text) if category_of(key) in registry.aggregates() else text


def subjects(pages: Sequence[tuple[str, str]]) -> SafeString:
    """Links to the pages about one subject, each by its kind."""
    return side_by_side([link(address, kind) for kind, address in pages]) or formatting.NOTHING


def side_by_side(links: Sequence[SafeString]) -> SafeString:
    return format_html_join(" · ", "{}", ((each,) for each in links))
