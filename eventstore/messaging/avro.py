"""Integration events in Avro, in the Confluent wire format: written by relays, read by consumers.

Imported only where it is needed, as its libraries are an extra of their own.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from eventstore import registry
from eventstore.messages import BrokerMessage
from eventstore.schemas.registry import published, sources, wire
from eventstore.schemas.registry.errors import ForeignSchemaId

from .cloudevents import AvroValue
from .event_bus import Envelope
from .transport import Refused

# What fastavro takes as it is.
NATIVE = (datetime, UUID)
# Schemas of one batch that are looked up before it is stored.
MOST_WARMED = 50


class SchemaNotRegistered(Refused):
    """The registry does not have the schema of a message that is to be published in Avro."""


class NotEncodable(Refused):
    """The event does not fit its own schema, such as a number of more than 64 bits."""


def encode(envelope: Envelope) -> AvroValue:
    """Raises SchemaNotRegistered, NotEncodable, and what the database raises."""
    try:
        writer = published.writer(envelope.type)
    except published.NotRegistered as error:
        raise SchemaNotRegistered(str(error)) from None
    data = msgspec.to_builtins(envelope.event, builtin_types=NATIVE)
    try:
        return AvroValue(writer.id, wire.encode(writer.id, writer.parsed, data))
    except Exception as error:  # noqa: BLE001  whatever the library raises: the event is at fault
        raise NotEncodable(f"{envelope.type}: {error!r}"[:500]) from None


def decode(message: BrokerMessage, type_: str) -> Any:
    """The data of a message, as JSON has it. type_: its published name.

    Raises WireError, RegistryUnreachable, and what the database raises.
    """
    value = message.value or b""
    schema = sources.schemas().get(wire.schema_id(value))
    # By one of the three usual strategies, the schema belongs to the topic, to its record, or to
    # both. A type of ours has one record.
    allowed = {f"{message.topic}-value", schema.name, f"{message.topic}-{schema.name}"}
    if not schema.subjects & allowed:
        found = ", ".join(sorted(schema.subjects)[:5])
        raise ForeignSchemaId(f"schema {schema.id} belongs to {found}, and not to {message.topic}")
    if type_ in registry.published_types() and schema.name != published.record_name(type_):
        raise ForeignSchemaId(f"schema {schema.id} is {schema.name}, and not that of {type_}")
    return wire.decode(schema, value)


def warm(values: list[bytes]) -> None:
    """Look up the schemas of messages before they are delivered in a transaction."""
    ids = {
        int.from_bytes(value[1 : wire.HEADER.size])
        for value in values
        if len(value) > wire.HEADER.size
    }
    sources.schemas().warm(sorted(each for each in ids if 0 < each < 2**31)[:MOST_WARMED])
