"""Links, times and badges for the console's templates."""

from datetime import UTC, datetime
from uuid import UUID

from django import template
from django.contrib.admin.utils import quote
from django.utils.html import format_html
from django.utils.safestring import SafeString

from eventstore import settings
from eventstore.console import formatting, links
from eventstore.models import Event, Parked
from eventstore.operations.lag import Lag

register = template.Library()

register.filter("admin_quote", quote)


@register.filter
def es_time(at: datetime | None) -> SafeString:
    return formatting.time(at)


@register.filter
def es_tree(json: str) -> SafeString:
    return formatting.tree(json)


@register.filter
def es_minute(at: datetime) -> SafeString:
    return format_html(
        '<time datetime="{}">{}</time>', at.isoformat(), at.astimezone(UTC).strftime("%d %b %H:%M")
    )


@register.filter
def es_age(seconds: float) -> str:
    return formatting.age(seconds)


@register.filter
def es_next_attempt(parked: Parked) -> SafeString:
    return formatting.next_attempt(parked)


@register.filter
def es_subscription_state(subscription: Lag) -> SafeString:
    return formatting.subscription_badge(subscription)


@register.simple_tag
def environment() -> str:
    return settings.environment()


@register.simple_tag
def copy_button(text: object, label: str) -> SafeString:
    """Hidden; page.js shows it and makes it copy the text."""
    return format_html(
        '<button type="button" class="es-copy" data-copy="{}" aria-live="polite"'
        " hidden>{}</button>",
        text,
        label,
    )


@register.simple_tag
def event_link(event: Event) -> SafeString:
    # The type may wrap after the name of the context.
    context, dot, name = event.type.partition(".")
    return links.event(event.position, format_html("<code>{}{}<wbr>{}</code>", context, dot, name))


@register.simple_tag
def subscription_link(name: str) -> SafeString:
    return links.subscription(name)


@register.simple_tag
def stream_link(name: str, version: int | None = None) -> SafeString:
    return links.stream(name, version=version)


@register.simple_tag
def short_stream_link(name: str, version: int) -> SafeString:
    return links.stream(name, formatting.short(name), version=version)


@register.simple_tag
def correlation_link(correlation_id: UUID) -> SafeString:
    return links.correlation(correlation_id)
