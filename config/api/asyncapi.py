"""What events say of themselves in AsyncAPI 3.0, made from the sockets' addresses and the classes
of what is told."""

import inspect
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from eventstore import registry
from eventstore.messages import Event, IntegrationEvent
from eventstore.schemas import generation
from orders.api import public_events as timeline

from . import examples
from .live import ADDRESSES, OFFERED_TOKEN, PROTOCOL, Address

Described = dict[str, Any]


class MessageDoc(NamedTuple):
    """A message. payload: its schema; what it is made of stands among the components."""

    name: str
    about: str
    payload: Described


@cache
def document() -> Described:
    told, published, components = _spoken()
    followed = {address.follow.__name__: _followed(address, told) for address in ADDRESSES}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "What happens to orders", "version": "1", "description": ABOUT},
        "defaultContentType": "application/json",
        "servers": SERVERS,
        "channels": followed | {"published": _published(published)},
        "operations": (
            {f"tell_{name}": _sends(name) for name in followed} | {"publish": _sends("published")}
        ),
        "components": {
            "messages": {each.name: _message(each, components) for each in (*told, *published)},
            "schemas": components,
            "securitySchemes": SECURITY,
        },
    }


def _spoken() -> tuple[Sequence[MessageDoc], Sequence[MessageDoc], dict[str, Any]]:
    """What is told over sockets, what is published, and by name what both are made of."""
    told, published = list(timeline.PUBLIC_FIELDS), registry.published_types()
    shapes = [timeline.shape(event) for event in told]
    (entry, *data), components = generation.components(
        [timeline.Entry, *shapes, *published.values()]
    )
    envelope = components.pop(_name_of(entry))
    return (
        [
            *(_told(event, envelope, shape) for event, shape in zip(told, data, strict=False)),
            RESTARTED,
            CAUGHT_UP,
        ],
        [
            _integration(*each, shape)
            for each, shape in zip(published.items(), data[len(told) :], strict=True)
        ],
        components,
    )


def _told(event: type[Event], envelope: Described, data: Described) -> MessageDoc:
    name, category = registry.name_of_class(event), _category(event)
    said = {
        "category": {"const": category},
        "type": {"const": name},
        "recorded_at": {"type": "string", "format": "date-time"},
        "data": data,
    }
    payload = envelope | {"title": name, "properties": envelope["properties"] | said}
    return MessageDoc(name, timeline.shape(event).__doc__ or "", payload)


def _category(event: type[Event]) -> str:
    return next(each.category for each in registry.aggregates().values() if event in each.evolve)


def _integration(name: str, cls: type[IntegrationEvent], shape: Described) -> MessageDoc:
    return MessageDoc(name, inspect.getdoc(cls) or "", shape)


def _followed(address: Address, told: Sequence[MessageDoc]) -> Described:
    parameters = {
        name: {"description": "An id or a name."} for name in re.findall(r"{(\w+)}", address.path)
    }
    query = {
        name: {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": f"Begin behind this {meaning}.",
        }
        for name, meaning in address.known.items()
    }
    asked = {
        "method": "GET",
        "query": {"type": "object", "properties": query},
        "bindingVersion": "0.1.0",
    }
    return _channel(told, address.path, address.follow.__doc__) | {
        "servers": [{"$ref": f"#/servers/{name}"} for name in SERVERS],
        **({"parameters": parameters} if parameters else {}),
        "bindings": {"ws": asked},
    }


def _published(published: Sequence[MessageDoc]) -> Described:
    # No broker, no address.
    return _channel(published, None, ABOUT_PUBLISHED)


def _channel(
    messages: Sequence[MessageDoc], address: str | None, about: str | None
) -> dict[str, Any]:
    names = {each.name: {"$ref": f"#/components/messages/{each.name}"} for each in messages}
    return {"address": address, "description": about, "messages": names}


def _sends(channel: str) -> Described:
    return {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}}


def _message(spoken: MessageDoc, components: Described) -> Described:
    said = {"description": spoken.about} if spoken.about else {}
    example = {"name": spoken.name, "payload": examples.of(spoken.payload, components)}
    return {"name": spoken.name, "title": _title(spoken.name), **said} | {
        "payload": spoken.payload,
        "examples": [example],
    }


def _title(name: str) -> str:
    """orders.order_placed is Order placed."""
    return name.rpartition(".")[2].replace("_", " ").capitalize()


def _name_of(reference: Described) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


ABOUT = (
    "Events come in the order of their positions, each once. Keep the last position and come back"
    " behind it: you miss nothing and get nothing twice. Members that are not listed here may come;"
    " pass over them. A socket that is not served is closed with 4000 and the status that HTTP"
    " would have."
)
ABOUT_PUBLISHED = (
    "What other systems are told: a contract apart from the events of our own, at least once, in"
    " order for each order. As long as no broker carries it, who subscribes in the same process"
    " hears it (EVENTSTORE_EVENT_BUS)."
)
CAUGHT_UP = MessageDoc(
    "caught_up",
    "Comes once: what was there when you came has been told, what follows is new.",
    {
        "title": "caught_up",
        "type": "object",
        "properties": {
            "caught_up": {"type": "integer", "description": "The position up to which that is so."}
        },
        "required": ["caught_up"],
    },
)
RESTARTED = MessageDoc(
    "restarted_after",
    "Comes first, or not at all: what you had seen behind this position, the log may have lost."
    " Drop it; what is left of it comes again.",
    {
        "title": "restarted_after",
        "type": "object",
        "properties": {
            "restarted_after": {
                "type": "integer",
                "description": "The position behind which it begins.",
            }
        },
        "required": ["restarted_after"],
    },
)
MAY = [
    {"$ref": "#/components/securitySchemes/bearer"},
    {"$ref": "#/components/securitySchemes/offered"},
]
SERVERS = {
    "local": {
        "host": "127.0.0.1:8001",
        "protocol": "ws",
        "description": "What make run serves.",
        "security": MAY,
    },
    "live": {
        "host": "{host}",
        "protocol": "wss",
        "description": "python -m config.live, behind whatever ends TLS.",
        "variables": {"host": {"default": "shop.example"}},
        "security": MAY,
    },
}
SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token that logging in has given.",
    },
    "offered": {
        "type": "httpApiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": (
            f"For pages, which can send no other header: {PROTOCOL}, {OFFERED_TOKEN}TOKEN"
        ),
    },
}
