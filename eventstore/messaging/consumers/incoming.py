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
from eventstore.schemas.registry.errors import WireError
from eventstore.subscriptions import Unprocessable

# Of Kafka; of AMQP, in the forms that the binding allows.
PREFIX = re.compile(r"ce_|ce-|cloudEvents[:_]")
DATA = ("data", "data_base64")
STRUCTURED = "application/cloudevents+json"
# The attributes that AMQP has properties for.
PROPERTIES = {"message_id": "id", "type": "type", "correlation_id": "correlationid"}
TRACE = "traceparent"
# Digits of a 64-bit number, with leading zeros.
NUMBER = re.compile(r"[0-9]{1,18}")
# What the content types of Avro have in common.
AVRO = "avro"
# No text in JSON begins with it, and each message in the Confluent wire format does.
MAGIC = b"\0"


class Unreadable(codec.Undecodable, Unprocessable):
    """The data of a message is not JSON, or does not fit the class of its type."""


def attributes_of(message: BrokerMessage) -> dict[str, str]:
    """The attributes of CloudEvents that the message has, in lower case."""
    headers, stored = _headers(message), _properties(message)
    found = {mine: str(stored[name]) for name, mine in PROPERTIES.items() if stored.get(name)}
    found |= {mine: headers[plain] for plain, mine in PLAIN.items() if headers.get(plain)}
    if TRACE in headers:
        found[TRACE] = headers[TRACE]
    if not _content_type(stored, headers).startswith(STRUCTURED):
        prefixed = {name: text for name, text in headers.items() if PREFIX.match(name)}
        return found | {attribute_of(name): text for name, text in prefixed.items()}
    # Where it cannot be read, decoding the event says why.
    with suppress(codec.Undecodable):
        event = codec.decode_foreign(message.value or b"")
        if isinstance(event, dict):
            found |= {name: str(value) for name, value in event.items() if name not in DATA}
    return found


def attribute_of(header: str) -> str:
    """The attribute that a header of this name carries; "" for other headers."""
    if prefix := PREFIX.match(header):
        return header[prefix.end() :].lower()
    return header if header == TRACE else PLAIN.get(header, "")


def data_of(message: BrokerMessage) -> Any:
    """The data of the event, from JSON or Avro. In structured mode it may be in base64. Raises
    codec.Undecodable; of Avro also WireError and RegistryUnreachable."""
    if is_avro(message):
        from eventstore.messaging import avro  # its libraries are an extra of their own

        return avro.decode(message, type_of(message))
    data = codec.decode_foreign(message.value or b"")
    is_structured = _content_type(_properties(message), _headers(message)).startswith(STRUCTURED)
    return codec.data_of_event(data) if is_structured else data


def is_avro(message: BrokerMessage) -> bool:
    """By its content type, or by its first byte."""
    value = message.value or b""
    return value.startswith(MAGIC) or AVRO in _content_type(_properties(message), _headers(message))


def envelope(message: Message, contract: Mapping[str, type[IntegrationEvent]]) -> Envelope:
    """The event that a broker's message carries, decoded into the contract's class, else into the
    published class of that name, else as JSON.

    Raises Unreadable when the data is neither JSON nor Avro, or does not fit the class; of Avro
    also WireError and RegistryUnreachable.
    """
    found = attributes_of(message.body)
    type_, id_, time = found.get("type", ""), found.get("id", ""), message.recorded_at
    with suppress(ValueError):
        given = datetime.fromisoformat(found.get("time", ""))
        time = given if given.tzinfo else given.replace(tzinfo=UTC)
    cls = contract.get(type_) or registry.published_types().get(type_)
    try:
        data = data_of(message.body)
        event = msgspec.convert(data, cls) if cls else data
    except WireError as error:
        raise type(error)(f"{found.get('type', 'a message')}: {error}") from None
    except (msgspec.MsgspecError, codec.Undecodable) as error:
        name, expected = found.get("type", "a message"), cls.__name__ if cls else "JSON"
        raise Unreadable(f"{name} is not {expected}: {error}") from None
    return Envelope(
        id=uuid_of(id_) or uuid5(NAMESPACE_URL, f"{found.get('source', '')} {id_ or message.id}"),
        type=type_,
        subject=found.get("stream") or found.get("subject", ""),
        position=number(found.get("position", "")),
        time=time,
        correlation_id=message.metadata.correlation_id,
        causation_id=uuid_of(found.get("causationid", "")) or message.metadata.correlation_id,
        event=event,
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


def _content_type(properties: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    return str(properties.get("content_type") or headers.get("content-type", ""))
