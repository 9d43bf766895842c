"""Every event with its fields: the domain events of the log, and the integration events."""

import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import msgspec

from config.api import asyncapi
from eventstore import registry
from eventstore.messages import INTERNAL, Command, Event, IntegrationEvent

from .source import code, heading, table

INTRODUCTION = (
    "Domain events are kept for ever in the log, under their stored names. Integration events are"
    " the contract with other systems; the engine publishes them, and domain events are never"
    " published as they are. *Sent to* names the WebSockets that carry an event;"
    " [Publications](publications.md) lists what goes to brokers. *Personal* fields are masked in"
    " the console and in exports. Published schemas are in `schemas/<stored name>/`: JSON Schema,"
    " Avro, and an example for each version."
)
INTERNAL_ABOUT = (
    "The engine sends these to sagas. They are rows of the outbox, and never events of a stream."
)
PARTS_ABOUT = "Values that several events share."
NAMES: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    datetime: "time",
    UUID: "UUID",
    type(None): "null",
}


def page() -> str:
    domain = {
        name: cls
        for name, cls in registry.types().items()
        if not issubclass(cls, Command) and name not in INTERNAL
    }
    published = registry.published_types()
    parts = dict(sorted(_parts([*domain.values(), *published.values(), *INTERNAL.values()])))
    sections = [heading("Events", INTRODUCTION)]
    for context in dict.fromkeys(name.partition(".")[0] for name in domain):
        sections.append(f"## Domain events of {context}\n")
        ours = {name: cls for name, cls in domain.items() if name.partition(".")[0] == context}
        sections += [_event(name, cls) for name, cls in ours.items()]
    sections.append("## Integration events\n")
    sections += [_event(name, cls) for name, cls in published.items()]
    sections.append(f"## Events of the engine\n\n{INTERNAL_ABOUT}\n")
    sections += [_event(name, cls) for name, cls in INTERNAL.items()]
    sections.append(f"## Parts\n\n{PARTS_ABOUT}\n")
    sections += [f"### {name}\n\n{_about(cls)}{_fields(cls)}" for name, cls in parts.items()]
    return "\n".join(sections)


def _event(name: str, cls: type) -> str:
    facts = [f"Class {code(cls.__name__)}"]
    if name in registry.types():
        facts.append(f"schema version {registry.schema_version_of(name)}")
    facts += [f"stream {code(f'{category}-…')}" for category in _categories(cls)]
    channels = _channels().get(name, ())
    is_published = issubclass(cls, IntegrationEvent)
    facts.append("published" if is_published else "not published")
    facts += [f"sent to {', '.join(map(code, channels))}"] if channels else []
    return f"### {code(name)}\n\n{_about(cls)}{', '.join(facts)}.\n\n{_fields(cls)}"


def _about(cls: type) -> str:
    # A class without a docstring has its base's, which says nothing of it.
    text = " ".join((vars(cls).get("__doc__") or "").split())
    return f"{text}\n\n" if text else ""


def _categories(cls: type) -> list[str]:
    """Of the aggregates whose streams hold it."""
    if not issubclass(cls, Event):
        return []
    return [each.category for each in registry.aggregates().values() if cls in each.evolve]


@cache
def _channels() -> dict[str, list[str]]:
    """Event -> the WebSockets whose messages include it."""
    found: dict[str, list[str]] = {}
    for channel in asyncapi.made({})["channels"].values():
        for message in channel["messages"] if channel["address"] else ():
            found.setdefault(message, []).append(channel["address"])
    return found


def _fields(cls: type) -> str:
    personal = registry.personal().get(cls, frozenset())
    rows = [
        (
            code(each.encode_name),
            _type(each.type),
            _default(each),
            "personal" if each.name in personal else "",
        )
        for each in msgspec.structs.fields(cls)
    ]
    return table(("field", "type", "default", ""), rows) if rows else "No fields.\n"


def _type(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if hint in NAMES:
        return NAMES[hint]
    if origin in (Union, types.UnionType):
        return " or ".join(_type(each) for each in inner)
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {_type(inner[1])} by {_type(inner[0])}"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return str(getattr(hint, "__name__", hint))


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return code(msgspec.json.encode(field.default).decode())
    return "" if field.default_factory is msgspec.NODEFAULT else "empty"


def _parts(classes: list[type]) -> Iterator[tuple[str, type]]:
    """Name -> each struct inside of these, however deep."""
    waiting, seen = [*classes], set[Any]()
    while waiting:
        for each in msgspec.structs.fields(waiting.pop()):
            for part in _structs(each.type):
                if part not in seen:
                    seen.add(part)
                    waiting.append(part)
                    yield part.__name__, part


def _structs(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for each in get_args(hint):
        yield from _structs(each)
