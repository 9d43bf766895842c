"""An AsyncAPI document as a person reads it: channels, what comes through each, and what that is
made of."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Described = Mapping[str, Any]


class Member(NamedTuple):
    """part: the name of what it is made of, where that is described by itself."""

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
    """begins: the parameters that say where."""

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
        "security": document["components"]["securitySchemes"].values(),
        "channels": [_channel(name, channel) for name, channel in document["channels"].items()],
        "around": _around(next(each["payload"] for each in messages.values() if _data(each))),
        "messages": [_message(message, parts) for message in messages.values()],
        "parts": [
            Part(name, parts[name].get("description", ""), _members(parts[name]))
            for name in _shared(messages, parts)
        ],
    }


def _channel(name: str, channel: Described) -> Channel:
    query = channel.get("bindings", {}).get("ws", {}).get("query", {})
    return Channel(
        name, channel["address"], channel["description"], _members(query), list(channel["messages"])
    )


def _message(message: Described, parts: Described) -> Message:
    """Of an event that is told, its data; the members around it are the same for all."""
    told = _data(message) or message["payload"]
    example = json.dumps(message["examples"][0]["payload"], indent=2, ensure_ascii=False)
    members = _members(parts[_part(told)] if _part(told) else told)
    return Message(
        message["name"], message["title"], message.get("description", ""), members, example
    )


def _around(payload: Described) -> list[Member]:
    """What is the same for all events; each tells by itself what its data are."""
    return [member for member in _members(payload) if member.name != "data"]


def _data(message: Described) -> Described:
    data: Described = message["payload"].get("properties", {}).get("data", {})
    return data


def _members(schema: Described) -> list[Member]:
    return [_member(name, each) for name, each in schema.get("properties", {}).items()]


def _member(name: str, schema: Described) -> Member:
    one = schema.get("items", schema)
    kind = _part(one) or one.get("format") or one.get("type", "string")
    return Member(
        name,
        kind if one is schema else f"{kind}, any number of",
        _part(one),
        schema.get("description", ""),
    )


def _part(schema: Described) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _shared(messages: Described, parts: Described) -> Iterable[str]:
    """What is a member of others; a message's own data is shown with the message."""
    return sorted(
        {member.part for part in parts.values() for member in _members(part) if member.part}
    )
