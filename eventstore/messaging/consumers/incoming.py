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
    headers = _headers(message)
    found = _properties(message)
    found |= {mine: headers[plain] for plain, mine in PLAIN.items() if headers.get(plain)}
    if TRACE in headers:
        found[TRACE] = headers[TRACE]
    if _content_type(message, headers).startswith(STRUCTURED):
        structured = _structured(message)
        return found | {name: str(value) for name, value in structured.items() if name != "data"}
    return found | {
        attribute_of(name): text for name, text in headers.items() if PREFIX.match(name)
    }


def attribute_of(header: str) -> str:
    """The attribute that a header of this name carries; "" for other headers."""
    if prefix := PREFIX.match(header):
        return header[prefix.end() :].lower()
    return header if header == TRACE else PLAIN.get(header, "")


def data_of(message: BrokerMessage) -> Any:
    """The JSON of the event. Raises what decoding raises, and LookupError or TypeError for a text
    in structured mode without data."""
    data = decode_json(message.value or b"")
    is_structured = _content_type(message, _headers(message)).startswith(STRUCTURED)
    return data["data"] if is_structured else data


def envelope(message: Message, contract: Mapping[str, type[IntegrationEvent]]) -> Envelope:
    """The event that a broker's message carries, decoded into the contract's class, else into the
    published class of that name, else as JSON.

    Raises codec.Undecodable when the data is not JSON or does not fit the class.
    """
    found = attributes_of(message.body)
    type_ = found.get("type", "")
    id_ = found.get("id", "")
    return Envelope(
        id=uuid_of(id_) or uuid5(NAMESPACE_URL, f"{found.get('source', '')} {id_ or message.id}"),
        type=type_,
        subject=found.get("stream") or found.get("subject", ""),
        position=number(found.get("position", "")),
        time=_time(found.get("time", "")) or message.recorded_at,
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


def _properties(message: BrokerMessage) -> dict[str, str]:
    stored = decode_json(message.properties) if message.properties else {}
    return {mine: str(stored[name]) for name, mine in PROPERTIES.items() if stored.get(name)}


def _content_type(message: BrokerMessage, headers: Mapping[str, str]) -> str:
    stored = decode_json(message.properties) if message.properties else {}
    return str(stored.get("content_type") or headers.get("content-type", ""))


def _structured(message: BrokerMessage) -> dict[str, Any]:
    """Without the parts that cannot be read; decoding the event then says why."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        found = decode_json(message.value or b"")
        return found if isinstance(found, dict) else {}
    return {}


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


def _time(text: str) -> datetime | None:
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
