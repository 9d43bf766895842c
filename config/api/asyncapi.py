"""The AsyncAPI 3.0 document of the events, made from the sockets' addresses and the classes of the
events."""

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from eventstore import registry, settings
from eventstore.messages import Event
from eventstore.schemas import generation
from orders.api import public_events

from . import asyncapi_brokers, examples
from .sockets import ADDRESSES, OFFERED_TOKEN, PROTOCOL, Address

Described = dict[str, Any]


class MessageDoc(NamedTuple):
    """payload: the schema of the message; it refers to the schemas among the components."""

    name: str
    about: str
    payload: Described


@cache
def document() -> Described:
    structured = settings.cloudevents_mode() == "structured"
    return made(asyncapi_brokers.described(settings.brokers()), structured=structured)


def made(brokers: Mapping[str, Mapping[str, Any]], *, structured: bool = False) -> Described:
    """brokers: as in the settings. Those that they do not name have no channel."""
    streamed, published, components = _messages()
    followed = {address.follow.__name__: _followed(address, streamed) for address in ADDRESSES}
    messages = {
        each.name: {
            "name": each.name,
            # "Order placed" for orders.order_placed
            "title": each.name.rpartition(".")[2].replace("_", " ").capitalize(),
            **({"description": each.about} if each.about else {}),
            "payload": each.payload,
            "examples": [{"name": each.name, "payload": examples.of(each.payload, components)}],
        }
        for each in (*streamed, *published)
    }
    integration = {each.name: messages[each.name] for each in published}
    contexts = list(dict.fromkeys(map(asyncapi_brokers.context_of, integration)))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Events of orders", "version": "1", "description": ABOUT},
        "defaultContentType": "application/json",
        "servers": SERVERS | asyncapi_brokers.servers(brokers),
        "channels": (
            followed
            | {"published": _channel(published, None, ABOUT_PUBLISHED)}
            | asyncapi_brokers.channels(brokers, integration, structured=structured)
        ),
        "operations": (
            {f"tell_{name}": _send(name) for name in followed}
            | {"publish": _send("published")}
            | asyncapi_brokers.operations(brokers, contexts)
        ),
        "components": {
            "messages": messages,
            "schemas": components | asyncapi_brokers.schemas(brokers),
            "securitySchemes": SECURITY | asyncapi_brokers.security_schemes(brokers),
        },
    }


def _messages() -> tuple[Sequence[MessageDoc], Sequence[MessageDoc], dict[str, Any]]:
    """The messages of sockets, the published messages, and the schemas of both by name."""
    events, published = list(public_events.PUBLIC_FIELDS), registry.published_types()
    shapes = [public_events.shape(event) for event in events]
    (entry, *data), components = generation.components(
        [public_events.Entry, *shapes, *published.values()]
    )
    envelope = components.pop(str(entry["$ref"]).rpartition("/")[2])
    streamed = [_event(event, envelope, each) for event, each in zip(events, data, strict=False)]
    integration = [
        MessageDoc(name, inspect.getdoc(cls) or "", shape)
        for (name, cls), shape in zip(published.items(), data[len(events) :], strict=True)
    ]
    return [*streamed, RESTARTED, CAUGHT_UP], integration, components


def _event(event: type[Event], envelope: Described, data: Described) -> MessageDoc:
    name = registry.name_of_class(event)
    category = next(
        each.category for each in registry.aggregates().values() if event in each.evolve
    )
    properties = {
        "category": {"const": category},
        "type": {"const": name},
        "recorded_at": {"type": "string", "format": "date-time"},
        "data": data,
    }
    payload = envelope | {"title": name, "properties": envelope["properties"] | properties}
    return MessageDoc(name, public_events.shape(event).__doc__ or "", payload)


def _followed(address: Address, messages: Sequence[MessageDoc]) -> Described:
    parameters = {
        name: {"description": "An id or a name."} for name in re.findall(r"{(\w+)}", address.path)
    }
    query = {
        name: {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": f"Begin after this {meaning}.",
        }
        for name, meaning in address.known.items()
    }
    request = {
        "method": "GET",
        "query": {"type": "object", "properties": query},
        "bindingVersion": "0.1.0",
    }
    return _channel(messages, address.path, (address.follow.__doc__ or "").partition("\n\n")[0]) | {
        "servers": [{"$ref": f"#/servers/{name}"} for name in SERVERS],
        **({"parameters": parameters} if parameters else {}),
        "bindings": {"ws": request},
    }


def _channel(
    messages: Sequence[MessageDoc], address: str | None, about: str | None
) -> dict[str, Any]:
    names = {each.name: {"$ref": f"#/components/messages/{each.name}"} for each in messages}
    return {"address": address, "description": about, "messages": names}


def _send(channel: str) -> Described:
    return {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}}


ABOUT = (
    "Events arrive in the order of their positions, each once. Store the last position and"
    " reconnect with it: no event is missed or repeated. Ignore unknown members, as new ones may be"
    " added. A rejected socket is closed with 4000 plus the HTTP status code."
)
ABOUT_PUBLISHED = (
    "Integration events for other systems: a separate contract from the stored events. If brokers"
    " are configured, they are CloudEvents 1.0 on the Kafka topics `events.<context>` and on the"
    " RabbitMQ exchange `domain-events` with the routing key `events.<type>`. Each is delivered at"
    " least once and in order for each aggregate, and on Kafka once to consumers that read"
    " committed messages only. Repeats have the same `id`. Subscribers in the same process receive"
    " them with or without a broker (EVENTSTORE_EVENT_BUS)."
)
CAUGHT_UP = MessageDoc(
    "caught_up",
    "Sent once, after all events that existed when the socket was opened. The events that follow"
    " are new.",
    {
        "title": "caught_up",
        "type": "object",
        "properties": {
            "caught_up": {
                "type": "integer",
                "description": "The position up to which all events have been sent.",
            }
        },
        "required": ["caught_up"],
    },
)
RESTARTED = MessageDoc(
    "restarted_after",
    "Sent first, and only if the log was restored: the events that you have seen after this"
    " position may be lost. Discard them; those that still exist are sent again.",
    {
        "title": "restarted_after",
        "type": "object",
        "properties": {
            "restarted_after": {
                "type": "integer",
                "description": "The position after which the events begin.",
            }
        },
        "required": ["restarted_after"],
    },
)
AUTHENTICATION = [
    {"$ref": "#/components/securitySchemes/bearer"},
    {"$ref": "#/components/securitySchemes/offered"},
]
SERVERS = {
    "local": {
        "host": "127.0.0.1:8001",
        "protocol": "ws",
        "description": "The local server of `make run`.",
        "security": AUTHENTICATION,
    },
    "live": {
        "host": "{host}",
        "protocol": "wss",
        "description": "`python -m config.live` behind a proxy that terminates TLS.",
        "variables": {"host": {"default": "shop.example"}},
        "security": AUTHENTICATION,
    },
}
SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token from the login.",
    },
    "offered": {
        "type": "httpApiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": (
            "For browsers, which cannot set other headers of a WebSocket. Offer two subprotocols:"
            f" {PROTOCOL}, {OFFERED_TOKEN}TOKEN"
        ),
    },
}
