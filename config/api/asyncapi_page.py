"""The template context of the page that shows an AsyncAPI document: channels, messages, and their
parts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Described = Mapping[str, Any]


class Member(NamedTuple):
    """part: the name of its schema, if that is described separately."""

    name: str
    kind: str
    part: str
    about: str


class Message(NamedTuple):
    name: str
    title: str
    about: str
    members: Sequence[Member]
    example: str


class Channel(NamedTuple):
    """begins: the query parameters, which say where to begin."""

    name: str
    address: str | None
    about: str
    begins: Sequence[Member]
    messages: Sequence[str]


class Part(NamedTuple):
    name: str
    about: str
    members: Sequence[Member]


def page(document: Described) -> dict[str, Any]:
    parts = document["components"]["schemas"]
    messages = document["components"]["messages"]
    return {
        "info": document["info"],
        "servers": document["servers"].values(),
        "security": [
            each
            for each in document["components"]["securitySchemes"].values()
            if each["type"] in ("http", "httpApiKey")
        ],
        "channels": [
            Channel(
                name,
                channel["address"],
                channel["description"],
                _members(channel.get("bindings", {}).get("ws", {}).get("query", {})),
                list(channel["messages"]),
            )
            for name, channel in document["channels"].items()
        ],
        # The same for all events, but for their data.
        "around": [
            member
            for member in _members(
                next(each["payload"] for each in messages.values() if _data(each))
            )
            if member.name != "data"
        ],
        "messages": [_message(message, parts) for message in messages.values()],
        "parts": [
            Part(name, parts[name].get("description", ""), _members(parts[name]))
            for name in sorted(
                {member.part for part in parts.values() for member in _members(part) if member.part}
            )
        ],
    }


def _message(message: Described, parts: Described) -> Message:
    """An event is shown by its data, as its other members are the same for all events."""
    shown = _data(message) or message["payload"]
    example = json.dumps(message["examples"][0]["payload"], indent=2, ensure_ascii=False)
    members = _members(parts[_part(shown)] if _part(shown) else shown)
    return Message(
        message["name"], message["title"], message.get("description", ""), members, example
    )


def _data(message: Described) -> Described:
    data: Described = message["payload"].get("properties", {}).get("data", {})
    return data


def _members(schema: Described) -> list[Member]:
    found = list[Member]()
    for name, each in schema.get("properties", {}).items():
        one = each.get("items", each)
        kind = _part(one) or one.get("format") or one.get("type", "string")
        kind = kind if one is each else f"array of {kind}"
        found.append(Member(name, kind, _part(one), each.get("description", "")))
    return found


def _part(schema: Described) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
