"""Values as people read them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from eventstore import codec

SUMMARY = 120
NOTHING = SafeString("–")


def pretty(value: Any) -> str:
    """As indented JSON. The template that shows it escapes it."""
    return msgspec.json.format(codec.encode_json(value), indent=2).decode()


def tree(json: str) -> SafeString:
    """JSON as lists in lists, each of which can be shut; without a script."""
    return _branch(codec.decode_json(json))


def _branch(value: Any) -> SafeString:
    match value:
        case dict() if value:
            twigs = (
                (format_html('<span class="es-key">{}</span>', name), each)
                for name, each in value.items()
            )
        case list() if value:
            twigs = (
                (format_html('<span class="es-quiet">{}</span>', number), each)
                for number, each in enumerate(value)
            )
        case _:
            return format_html('<span class="es-leaf">{}</span>', codec.encode_json(value).decode())
    return format_html(
        '<ul class="es-tree">{}</ul>',
        format_html_join("", "<li>{}</li>", ((_twig(*each),) for each in twigs)),
    )


def _twig(name: SafeString, value: Any) -> SafeString:
    if not value or not isinstance(value, dict | list):
        return format_html("{}: {}", name, _branch(value))
    many = f"{{{len(value)}}}" if isinstance(value, dict) else f"[{len(value)}]"
    return format_html(
        '<details open><summary>{} <span class="es-quiet">{}</span></summary>{}</details>',
        name,
        many,
        _branch(value),
    )


def in_a_line(value: Any) -> str:
    """As JSON of one line; the rest of a long one is left out."""
    return shortened(msgspec.json.format(codec.encode_json(value), indent=0).decode())


def summary(data: Any) -> str:
    """The fields of a message in a line, without the punctuation of JSON."""
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
    """To the millisecond, in UTC, in a form that does not break in a table."""
    if at is None:
        return NOTHING
    text = at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    return format_html('<time class="es-time" datetime="{}">{}</time>', at.isoformat(), text)


def age(seconds: float) -> str:
    """Rough beyond a minute: 0.4 s, 12 min, 3 h, 5 days."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or unit == "min":
            return f"{seconds / size:.0f} {unit}"
    raise AssertionError("unreachable")


def since(at: datetime, now: datetime) -> str:
    return age(max(timedelta(), now - at).total_seconds())


def short(name: object) -> SafeString:
    """The end of a long id, where ids of one moment differ; the whole of it when pointed at."""
    text = str(name)
    category, hyphen, identity = text.partition("-") if len(text) > 36 else ("", "", text)
    if len(identity) <= 20:
        return format_html("{}", text)
    return format_html(
        '<span class="es-short" title="{}">{}{}…{}</span>', text, category, hyphen, identity[-8:]
    )


def badge(word: str, mood: str = "") -> SafeString:
    """A state as a word in a frame. mood: good, bad, waiting, or none; the word says it without the
    colour."""
    return format_html('<span class="es-badge {}">{}</span>', f"es-{mood}" if mood else "", word)
