"""An envelope as a CloudEvent 1.0 for Kafka and for AMQP, in binary or structured mode."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from eventstore import registry
from eventstore.codec import encode_json
from eventstore.messages import EventNotification, IntegrationEvent, StateTransfer

from .event_bus import Envelope

JSON = "application/json"
STRUCTURED_JSON = "application/cloudevents+json; charset=utf-8"
# Texts of one length sort as their numbers do.
SEQUENCE_DIGITS = 16
# In addition, for consumers that do not read CloudEvents.
PLAIN = {"event-type": "type", "event-id": "id", "correlation-id": "correlationid"}


class Origin(NamedTuple):
    """source: who publishes. schemas: the address that type and version follow; "" for none."""

    source: str
    schemas: str = ""
    structured: bool = False


class Encoded(NamedTuple):
    headers: Mapping[str, str]
    value: bytes


class AmqpMessage(NamedTuple):
    properties: Mapping[str, Any]
    headers: Mapping[str, str]
    value: bytes


def attributes(envelope: Envelope, origin: Origin) -> dict[str, str]:
    """The attributes of CloudEvents and our extensions; one without a value is left out."""
    key = aggregate_id(envelope.subject)
    found = {
        "specversion": "1.0",
        "id": str(envelope.id),
        "source": origin.source,
        "type": envelope.type,
        "subject": key,
        "stream": envelope.subject,
        "time": timestamp(envelope.time),
        "datacontenttype": JSON,
        "dataschema": _schema(envelope.type, origin.schemas),
        "sequence": _sequence(envelope.sequence),
        "previoussequence": _sequence(envelope.previous) if envelope.previous else "",
        "position": str(envelope.position),
        "partitionkey": key,
        "correlationid": str(envelope.correlation_id),
        "causationid": str(envelope.causation_id),
        "traceparent": envelope.trace,
        "kind": kind(envelope.event),
    }
    return {name: value for name, value in found.items() if value}


def for_kafka(envelope: Envelope, origin: Origin) -> Encoded:
    found = attributes(envelope, origin)
    plain = {header: found[name] for header, name in PLAIN.items()}
    if origin.structured:
        return Encoded({"content-type": STRUCTURED_JSON, **plain}, _structured(found, envelope))
    prefixed = {f"ce_{name}": text for name, text in found.items() if name != "datacontenttype"}
    return Encoded({"content-type": JSON, **prefixed, **plain}, encode_json(envelope.event))


def for_amqp(envelope: Envelope, origin: Origin) -> AmqpMessage:
    found = attributes(envelope, origin)
    headers = {header: found[name] for header, name in PLAIN.items()}
    properties = {
        "content_type": STRUCTURED_JSON if origin.structured else JSON,
        "delivery_mode": 2,  # kept on disk
        "message_id": found["id"],
        "correlation_id": found["correlationid"],
        "type": found["type"],
        "app_id": found["source"],
        "timestamp": int(envelope.time.timestamp()),
    }
    if origin.structured:
        return AmqpMessage(properties, headers, _structured(found, envelope))
    prefixed = {f"ce-{name}": text for name, text in found.items() if name != "datacontenttype"}
    return AmqpMessage(properties, {**prefixed, **headers}, encode_json(envelope.event))


def aggregate_id(stream: str) -> str:
    """What follows the category in the name of a stream."""
    return stream.partition("-")[2] or stream


def kind(event: Any) -> str:
    match event:
        case EventNotification():
            return "notification"
        case StateTransfer():
            return "state-transfer"
        case IntegrationEvent():
            return "integration"
    return ""


def timestamp(time: datetime) -> str:
    """RFC 3339, in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _sequence(number: int) -> str:
    return str(number).zfill(SEQUENCE_DIGITS)


def _schema(type_: str, address: str) -> str:
    version = registry.schema_version_of(type_)
    return f"{address.rstrip('/')}/{type_}/v{version}.schema.json" if address else ""


def _structured(found: Mapping[str, str], envelope: Envelope) -> bytes:
    return encode_json({**found, "data": msgspec.to_builtins(envelope.event)})
