"""Values as text and HTML for operators."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from eventstore import codec
from eventstore.models import Parked
from eventstore.operations.lag import Lag

SUMMARY = 120
NOTHING = SafeString("–")
EMPTY = SafeString("")
# The state of a subscription -> the level of its badge; those that are missing have none.
LEVELS = {"paused": "waiting", "dead letters": "bad", "behind": "waiting", "up to date": "good"}


def pretty(value: Any) -> str:
    """Indented JSON, not escaped: templates escape it."""
    return msgspec.json.format(codec.encode_json(value), indent=2).decode()


def tree(json: str) -> SafeString:
    """JSON as nested lists that can be collapsed without a script."""
    return _branch(codec.decode_json(json))


def _branch(value: Any) -> SafeString:
    match value:
        case dict() if value:
            children, name = [*value.items()], '<span class="es-key">{}</span>'
        case list() if value:
            children, name = [*enumerate(value)], '<span class="es-quiet">{}</span>'
        case _:
            return format_html('<span class="es-leaf">{}</span>', codec.encode_json(value).decode())
    items = []
    for key, child in children:
        label, branch = format_html(name, key), _branch(child)
        if child and isinstance(child, dict | list):
            size = f"{{{len(child)}}}" if isinstance(child, dict) else f"[{len(child)}]"
            summary = format_html('{} <span class="es-quiet">{}</span>', label, size)
            html = "<details open><summary>{}</summary>{}</details>"
            items.append(format_html(html, summary, branch))
        else:
            items.append(format_html("{}: {}", label, branch))
    joined = format_html_join("", "<li>{}</li>", ((item,) for item in items))
    return format_html('<ul class="es-tree">{}</ul>', joined)


def in_a_line(value: Any) -> str:
    """JSON on one line, cut after SUMMARY characters."""
    return shortened(msgspec.json.format(codec.encode_json(value), indent=0).decode())


def summary(data: Any) -> str:
    """The fields of a message on one line, without the punctuation of JSON."""
    if not isinstance(data, dict):
        return in_a_line(data)
    line = ", ".join(
        f"{name}: {value if isinstance(value, str) else in_a_line(value)}"
        for name, value in data.items()
    )
    return shortened(line)


def shortened(line: str) -> str:
    return line if len(line) <= SUMMARY else f"{line[: SUMMARY - 1]}…"


def time(at: datetime | None) -> SafeString:
    """UTC to the millisecond; it does not wrap in a table."""
    if at is None:
        return NOTHING
    text = at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    return format_html('<time class="es-time" datetime="{}">{}</time>', at.isoformat(), text)


def to_the_minute(at: datetime | None) -> SafeString:
    """UTC, for lists; the tooltip has the milliseconds."""
    if at is None:
        return NOTHING
    text = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    html = '<time class="es-time" datetime="{0}" title="{0}">{1}</time>'
    return format_html(html, at.isoformat(), text)


def next_attempt(parked: Parked) -> SafeString:
    """When a parked message is tried again, and what it waits for until then."""
    match parked.status:
        case Parked.Status.DEAD:
            return SafeString("never, unless an operator retries it")
        case Parked.Status.LEASED:
            return format_html(
                "the call is in progress; its lease ends {} UTC", time(parked.due_at)
            )
    if parked.due_at is None:
        return SafeString("after the earlier messages of its key")
    return format_html("{} UTC", time(parked.due_at))


def age(seconds: float) -> str:
    """Rounded: 0.4 s, 12 min, 3 h, 5 days."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or unit == "min":
            return f"{seconds / size:.0f} {unit}"
    raise AssertionError("unreachable")


def since(at: datetime, now: datetime) -> str:
    return age(max(timedelta(), now - at).total_seconds())


def short(name: object) -> SafeString:
    """The end of a long id, where ids of the same moment differ; the whole id as a tooltip."""
    text = str(name)
    category, hyphen, identity = text.partition("-") if len(text) > 36 else ("", "", text)
    if len(identity) <= 20:
        return format_html("{}", text)
    return format_html(
        '<span class="es-short" title="{}">{}{}…{}</span>', text, category, hyphen, identity[-8:]
    )


def badge(state: str, level: str = "") -> SafeString:
    """A state in a coloured frame. level: "good", "waiting", "bad" or "" for none."""
    return format_html('<span class="es-badge {}">{}</span>', f"es-{level}" if level else "", state)


def subscription_badge(subscription: Lag) -> SafeString:
    return badge(subscription.state, LEVELS.get(subscription.state, ""))
