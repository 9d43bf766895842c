"""The brokers of the settings in the AsyncAPI document: servers, channels with their bindings, and
the headers of CloudEvents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

Described = dict[str, Any]
Options = Mapping[str, Any]

STRUCTURED_JSON = "application/cloudevents+json"
SASL = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}


def described(brokers: Mapping[str, Options]) -> dict[str, Options]:
    """Those of Kafka and RabbitMQ. AWS has addresses of its own for each account."""
    return {
        name: options
        for name, options in brokers.items()
        if str(options["TRANSPORT"]).endswith((".Kafka", ".RabbitMQ"))
    }


def servers(brokers: Mapping[str, Options]) -> dict[str, Described]:
    """Name -> server. Passwords are not part of it."""
    return {
        name: server for each in _brokers(brokers) for name, server in _named_servers(each).items()
    }


def security_schemes(brokers: Mapping[str, Options]) -> dict[str, Described]:
    references = (
        str(reference["$ref"])
        for server in servers(brokers).values()
        for reference in server.get("security", ())
    )
    kinds = (reference.rpartition("/")[2] for reference in references)
    return {kind: {"type": kind} for kind in kinds}


def channels(
    brokers: Mapping[str, Options], messages: Mapping[str, Described], *, structured: bool
) -> dict[str, Described]:
    """messages: published type -> its message. On Kafka one channel for each topic, on RabbitMQ one
    for the routing keys of each context."""
    found: dict[str, Described] = {}
    for broker in _brokers(brokers):
        at = [{"$ref": f"#/servers/{name}"} for name in _named_servers(broker)]
        for context in dict.fromkeys(map(context_of, messages)):
            ours = {name: each for name, each in messages.items() if context_of(name) == context}
            described = {
                name: _message(name, each, broker, structured) for name, each in ours.items()
            }
            channel = broker.channel(context, list(ours))
            found[f"{broker.name}_{context}"] = channel | {"servers": at, "messages": described}
    return found


def operations(brokers: Mapping[str, Options], contexts: Sequence[str]) -> dict[str, Described]:
    return {
        f"publish_{broker.name}_{context}": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{broker.name}_{context}"},
            "bindings": broker.bindings(broker.of_operation(context)),
        }
        for broker in _brokers(brokers)
        for context in contexts
    }


def schemas(brokers: Mapping[str, Options]) -> dict[str, Described]:
    """The headers of each protocol."""
    found = {}
    for broker in _brokers(brokers):
        # RabbitMQ has a property for the content type; Kafka has a header.
        plain = PLAIN | ({"content-type": "Of the value."} if isinstance(broker, Kafka) else {})
        attributes = {f"{broker.prefix}{each}": about for each, about in ATTRIBUTES.items()}
        required = [f"{broker.prefix}{each}" for each in REQUIRED]
        found[broker.headers_name(structured=False)] = _headers(
            attributes | plain, required=[*required, *plain]
        )
        found[broker.headers_name(structured=True)] = _headers(plain, required=list(plain))
    return found


def context_of(type_: str) -> str:
    return type_.partition(".")[0]


@dataclass(frozen=True)
class Broker:
    """A broker of the settings. protocol: the name of its bindings. prefix: of the headers with the
    attributes of CloudEvents."""

    name: str
    options: Options
    protocol: ClassVar[str]
    version: ClassVar[str]
    prefix: ClassVar[str]

    def bindings(self, fields: Described) -> Described:
        return {self.protocol: fields | {"bindingVersion": self.version}}

    def headers_name(self, *, structured: bool) -> str:
        return f"{self.protocol.capitalize()}{'Structured' if structured else 'Binary'}Headers"


class Kafka(Broker):
    protocol, version, prefix = "kafka", "0.5.0", "ce_"

    def servers(self) -> Iterator[Described]:
        client = self.options["client"]
        protocol = client.get("security.protocol", "PLAINTEXT")
        for host in str(client["bootstrap.servers"]).split(","):
            server: Described = {
                "host": host.strip(),
                "protocol": "kafka-secure" if protocol.endswith("SSL") else "kafka",
                "description": "Apache Kafka. Keys are ids of aggregates; values are JSON.",
            }
            if protocol.startswith("SASL"):
                kind = SASL.get(str(client.get("sasl.mechanisms", "PLAIN")), "userPassword")
                server["security"] = [{"$ref": f"#/components/securitySchemes/{kind}"}]
            yield server

    def channel(self, context: str, types: Sequence[str]) -> Described:
        topic = {"topic": f"events.{context}", "partitions": self.options.get("partitions", 6)}
        if (replicas := self.options.get("replication", -1)) > 0:
            topic["replicas"] = replicas
        return {
            "address": f"events.{context}",
            "description": f"{ABOUT} The key is the id of the aggregate.",
            "bindings": self.bindings(topic),
        }

    def of_message(self, type_: str) -> Described:
        return {"key": {"type": "string", "description": "The id of the aggregate."}}

    def of_operation(self, context: str) -> Described:
        return {"clientId": {"type": "string", "enum": [f"{context}.published@{self.name}"]}}


class RabbitMQ(Broker):
    protocol, version, prefix = "amqp", "0.3.0", "ce-"

    @property
    def virtual_host(self) -> str:
        return unquote(urlsplit(self.options["url"]).path[1:]) or "/"

    def servers(self) -> Iterator[Described]:
        url = urlsplit(self.options["url"])
        port = url.port or (5671 if url.scheme == "amqps" else 5672)
        yield {
            "host": f"{url.hostname}:{port}",
            "protocol": url.scheme,
            "protocolVersion": "0.9.1",
            "description": f"RabbitMQ, virtual host {self.virtual_host}.",
            "security": [{"$ref": "#/components/securitySchemes/userPassword"}],
        }

    def channel(self, context: str, types: Sequence[str]) -> Described:
        exchange = {
            "name": self.options.get("exchange", "domain-events"),
            "type": self.options.get("exchange_type", "topic"),
            "durable": True,
            "autoDelete": False,
            "vhost": self.virtual_host,
        }
        return {
            "address": f"events.{context}.{{event}}",
            "description": f"{ABOUT} The address is the routing key.",
            "parameters": {"event": {"enum": [type_.partition(".")[2] for type_ in types]}},
            "bindings": self.bindings({"is": "routingKey", "exchange": exchange}),
        }

    def of_message(self, type_: str) -> Described:
        return {"messageType": type_}

    def of_operation(self, context: str) -> Described:
        return {"deliveryMode": 2, "mandatory": True, "timestamp": True}


def _brokers(brokers: Mapping[str, Options]) -> Iterator[Kafka | RabbitMQ]:
    for name, options in brokers.items():
        is_kafka = str(options["TRANSPORT"]).endswith(".Kafka")
        yield Kafka(name, options) if is_kafka else RabbitMQ(name, options)


def _named_servers(broker: Kafka | RabbitMQ) -> dict[str, Described]:
    return {
        broker.name if number == 1 else f"{broker.name}_{number}": server
        for number, server in enumerate(broker.servers(), start=1)
    }


def _message(
    type_: str, message: Described, broker: Kafka | RabbitMQ, structured: bool
) -> Described:
    payload: Described = {"$ref": f"#/components/messages/{type_}/payload"}
    if structured:
        texts = {each: {"type": "string", "description": it} for each, it in ATTRIBUTES.items()}
        content_type = {"datacontenttype": {"const": "application/json"}}
        payload = {
            "type": "object",
            "properties": texts | content_type | {"data": payload},
            "required": [*REQUIRED, "datacontenttype", "data"],
        }
    headers = broker.headers_name(structured=structured)
    about: Described = {
        each: message[each] for each in ("name", "title", "description") if each in message
    }
    return {
        **about,
        "contentType": STRUCTURED_JSON if structured else "application/json",
        "headers": {"$ref": f"#/components/schemas/{headers}"},
        "payload": payload,
        "bindings": broker.bindings(broker.of_message(type_)),
    }


def _headers(names: Mapping[str, str], *, required: Sequence[str]) -> Described:
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": about} for name, about in names.items()
        },
        "required": list(required),
    }


ABOUT = (
    "Integration events as CloudEvents 1.0: at least once and in order for each aggregate. Repeats"
    " have the same `id`."
)
PLAIN = {
    "event-type": "The same as the attribute `type`.",
    "event-id": "The same as the attribute `id`.",
    "correlation-id": "The same as the attribute `correlationid`.",
}
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "The same for each repeat.",
    "source": "Who publishes.",
    "type": "The published type.",
    "subject": "The id of the aggregate.",
    "stream": "The stream of the aggregate; `sequence` counts in it.",
    "time": "When the domain event was recorded, in UTC (RFC 3339).",
    "dataschema": "The address of the JSON Schema of the data, if schemas are published.",
    "sequence": "The place in the stream: larger for each later event. Compare as texts.",
    "previoussequence": "The sequence of the event before it in the stream; none for the first.",
    "position": "The position of the domain event in the log.",
    "partitionkey": "The id of the aggregate: events with the same key stay in order.",
    "correlationid": "The id of the business transaction that the event belongs to.",
    "causationid": "The id of the domain event.",
    "traceparent": "The W3C trace context of the domain event.",
    "kind": "integration, notification or state-transfer.",
}
OPTIONAL = ("dataschema", "previoussequence", "traceparent")
REQUIRED = [name for name in ATTRIBUTES if name not in OPTIONAL]
