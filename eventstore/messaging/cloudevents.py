"""An envelope as a CloudEvent 1.0 for Kafka and for AMQP, in binary or structured mode."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
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
    return {name: value for name, value in _attributes(envelope, origin).items() if value}


def _attributes(envelope: Envelope, origin: Origin) -> dict[str, str]:
    """Those without a value are empty."""
    key, schema = aggregate_id(envelope.subject), ""
    if origin.schemas:
        version = registry.schema_version_of(envelope.type)
        schema = f"{origin.schemas.rstrip('/')}/{envelope.type}/v{version}.schema.json"
    return {
        "specversion": "1.0",
        "id": str(envelope.id),
        "source": origin.source,
        "type": envelope.type,
        "subject": key,
        "stream": envelope.subject,
        "time": timestamp(envelope.time),
        "datacontenttype": JSON,
        "dataschema": schema,
        "sequence": _sequence(envelope.sequence),
        "previoussequence": _sequence(envelope.previous) if envelope.previous else "",
        "position": str(envelope.position),
        "partitionkey": key,
        "correlationid": str(envelope.correlation_id),
        "causationid": str(envelope.causation_id),
        "traceparent": envelope.trace,
        "kind": kind(envelope.event.__class__),
    }


def for_kafka(envelope: Envelope, origin: Origin) -> Encoded:
    found = _attributes(envelope, origin)
    if origin.structured:
        return Encoded(
            {"content-type": STRUCTURED_JSON, **_plain(found)}, _structured(found, envelope)
        )
    headers = {"content-type": JSON, **_prefixed("ce_", found), **_plain(found)}
    return Encoded(headers, encode_json(envelope.event))


def for_amqp(envelope: Envelope, origin: Origin) -> AmqpMessage:
    found = _attributes(envelope, origin)
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
        return AmqpMessage(properties, _plain(found), _structured(found, envelope))
    headers = {**_prefixed("ce-", found), **_plain(found)}
    return AmqpMessage(properties, headers, encode_json(envelope.event))


def aggregate_id(stream: str) -> str:
    """What follows the category in the name of a stream."""
    return stream.partition("-")[2] or stream


@cache
def kind(event: type) -> str:
    """Of a class of integration events."""
    if issubclass(event, EventNotification):
        return "notification"
    if issubclass(event, StateTransfer):
        return "state-transfer"
    return "integration" if issubclass(event, IntegrationEvent) else ""


def timestamp(time: datetime) -> str:
    """RFC 3339, in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _sequence(number: int) -> str:
    return str(number).zfill(SEQUENCE_DIGITS)


def _plain(found: Mapping[str, str]) -> dict[str, str]:
    return {header: found[name] for header, name in PLAIN.items()}


def _prefixed(prefix: str, found: Mapping[str, str]) -> dict[str, str]:
    """The attributes that have a value, as headers. datacontenttype is a header of its own."""
    return {
        prefix + name: text for name, text in found.items() if text and name != "datacontenttype"
    }


def _structured(found: Mapping[str, str], envelope: Envelope) -> bytes:
    given = {name: text for name, text in found.items() if text}
    return encode_json({**given, "data": msgspec.to_builtins(envelope.event)})
