"""Read a message of a broker as a CloudEvent 1.0, in binary or structured mode, or by the plain
headers event-type, event-id and correlation-id. Whatever a foreign producer sends can be read: what
is not understood is left out."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from eventstore import codec, registry
from eventstore.codec import decode_json
from eventstore.messages import BrokerMessage, IntegrationEvent, Message
from eventstore.messaging.cloudevents import PLAIN
from eventstore.messaging.event_bus import Envelope

# Of Kafka; of AMQP, in the forms that the binding allows.
PREFIX = re.compile(r"ce_|ce-|cloudEvents[:_]")
STRUCTURED = "application/cloudevents+json"
# The attributes that AMQP has properties for.
PROPERTIES = {"message_id": "id", "type": "type", "correlation_id": "correlationid"}
TRACE = "traceparent"
# Digits of a 64-bit number, with leading zeros.
NUMBER = re.compile(r"[0-9]{1,18}")
SCHEMA_VERSION = re.compile(r"/v([0-9]{1,4})\.schema\.json$")


def attributes_of(message: BrokerMessage) -> dict[str, str]:
    """The attributes of CloudEvents that the message has, in lower case."""
    headers, stored = _headers(message), _properties(message)
    found = {mine: str(stored[name]) for name, mine in PROPERTIES.items() if stored.get(name)}
    found |= {mine: headers[plain] for plain, mine in PLAIN.items() if headers.get(plain)}
    if TRACE in headers:
        found[TRACE] = headers[TRACE]
    if not _is_structured(stored, headers):
        prefixed = {name: text for name, text in headers.items() if PREFIX.match(name)}
        return found | {attribute_of(name): text for name, text in prefixed.items()}
    # Where it cannot be read, decoding the event says why.
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        event = decode_json(message.value or b"")
        if isinstance(event, dict):
            found |= {name: str(value) for name, value in event.items() if name != "data"}
    return found


def attribute_of(header: str) -> str:
    """The attribute that a header of this name carries; "" for other headers."""
    if prefix := PREFIX.match(header):
        return header[prefix.end() :].lower()
    return header if header == TRACE else PLAIN.get(header, "")


def data_of(message: BrokerMessage) -> Any:
    """The JSON of the event. Raises what decoding raises, and LookupError or TypeError for a text
    in structured mode without data."""
    data = decode_json(message.value or b"")
    return data["data"] if _is_structured(_properties(message), _headers(message)) else data


def envelope(message: Message, contract: Mapping[str, type[IntegrationEvent]]) -> Envelope:
    """The event that a broker's message carries, decoded into the contract's class, else into the
    published class of that name, else as JSON.

    Raises codec.Undecodable when the data is not JSON or does not fit the class.
    """
    found = attributes_of(message.body)
    type_, id_, time = found.get("type", ""), found.get("id", ""), message.recorded_at
    with suppress(ValueError):
        given = datetime.fromisoformat(found.get("time", ""))
        time = given if given.tzinfo else given.replace(tzinfo=UTC)
    return Envelope(
        id=uuid_of(id_) or uuid5(NAMESPACE_URL, f"{found.get('source', '')} {id_ or message.id}"),
        type=type_,
        subject=found.get("stream") or found.get("subject", ""),
        position=number(found.get("position", "")),
        time=time,
        correlation_id=message.metadata.correlation_id,
        causation_id=uuid_of(found.get("causationid", "")) or message.metadata.correlation_id,
        event=_event(message.body, found, contract.get(type_)),
        sequence=number(found.get("sequence", "")),
        previous=number(found.get("previoussequence", "")),
        trace=message.metadata.trace,
    )


def type_of(message: BrokerMessage) -> str:
    return attributes_of(message).get("type", "")


def number(text: str) -> int:
    return int(text) if NUMBER.fullmatch(text) else 0


def uuid_of(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text)
    return None


def text_of(value: bytes | None) -> str:
    """Bytes that are not UTF-8 in hexadecimal."""
    try:
        return (value or b"").decode()
    except UnicodeDecodeError:
        return (value or b"").hex()


def _headers(message: BrokerMessage) -> dict[str, str]:
    """The last one of each name."""
    return {text_of(name): text_of(value) for name, value in message.headers}


def _properties(message: BrokerMessage) -> dict[str, Any]:
    """Of AMQP."""
    return decode_json(message.properties) if message.properties else {}


def _is_structured(properties: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    type_ = properties.get("content_type") or headers.get("content-type", "")
    return str(type_).startswith(STRUCTURED)


def _event(
    message: BrokerMessage, found: Mapping[str, str], own: type[IntegrationEvent] | None
) -> Any:
    cls = own or registry.published_types().get(found.get("type", ""))
    try:
        data = data_of(message)
        return msgspec.convert(data, cls) if cls else data
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError) as error:
        type_, expected = found.get("type", "a message"), cls.__name__ if cls else "JSON"
        raise codec.Undecodable(f"{type_} is not {expected}: {error!r}") from None
