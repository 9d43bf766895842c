"""Where things are found, as addresses and as links."""

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


def link(address: str, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', address, text)


def page(model: str, key: str | int | UUID, **query: object) -> str:
    """The page of one thing of this app. model: in small letters."""
    return with_query(reverse(f"admin:eventstore_{model}_change", args=[quote(key)]), query)


def of(model: type[Model], key: str | int) -> str:
    """The page of a row of any app."""
    return reverse(
        f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(key)]
    )


def with_query(address: str, query: Mapping[str, object]) -> str:
    return f"{address}?{urlencode(query)}" if query else address


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
    """All of a business transaction on one page."""
    return link(
        reverse("admin:eventstore_event_correlation", args=[correlation_id]), text or correlation_id
    )


def known_stream(key: str) -> SafeString:
    """A link when the key is a stream's name, else the key as it is; in short, for lists."""
    return (
        stream(key, formatting.short(key))
        if key.partition("-")[0] in registry.aggregates()
        else formatting.short(key)
    )


def side_by_side(links: Sequence[SafeString]) -> SafeString:
    return format_html_join(" · ", "{}", ((each,) for each in links))
