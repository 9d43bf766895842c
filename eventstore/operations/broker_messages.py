"""A message of a broker as operators read it: its place, its attributes, and its value."""

from typing import Any

from eventstore import codec, registry
from eventstore.messages import BrokerMessage
from eventstore.messaging.consumers import incoming
from eventstore.privacy import personal_data
from eventstore.schemas.registry.errors import RegistryUnreachable
from eventstore.subscriptions import Consumer

# Attributes that say nothing about people. Others are masked like the value.
KNOWN = {
    *("specversion", "id", "source", "type", "subject", "stream", "time", "datacontenttype"),
    *("dataschema", "sequence", "previoussequence", "position", "partitionkey", "correlationid"),
    *("causationid", "traceparent", "kind"),
}


def readable(consumer: str, message: BrokerMessage, *, revealed: bool) -> dict[str, Any]:
    """consumer: its contract says which fields of the value are personal data. A value that is
    neither JSON nor Avro with a known schema is shown in hexadecimal."""
    attributes = incoming.attributes_of(message)
    try:
        value = incoming.data_of(message)
    except (codec.Undecodable, RegistryUnreachable):
        value = _shown((message.value or b"").hex(" "), revealed)
    else:
        if not revealed:
            subscription, type_ = registry.subscriptions().get(consumer), attributes.get("type", "")
            own = subscription.contract.get(type_) if isinstance(subscription, Consumer) else None
            value = personal_data.of_data(own or registry.published_types().get(type_), value)
    found: dict[str, Any] = {"broker": message.broker, "topic": message.topic}
    if message.partition >= 0:
        found |= {"partition": message.partition, "offset": message.offset}
    return found | {
        "key": incoming.text_of(message.key),
        "attributes": {
            name: text if revealed or name in KNOWN else personal_data.hide(text)
            for name, text in attributes.items()
        },
        "headers": {
            incoming.text_of(name): _shown(incoming.text_of(value), revealed)
            for name, value in message.headers
            if incoming.attribute_of(incoming.text_of(name)) not in attributes
        },
        "bytes": len(message.value or b""),
        "value": value,
    }


def _shown(text: str, revealed: bool) -> Any:
    return text if revealed else personal_data.hide(text)
