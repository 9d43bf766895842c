"""The brokers of the settings in the AsyncAPI document: servers, channels with their bindings, and
the headers of CloudEvents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

Described = dict[str, Any]
Options = Mapping[str, Any]

KAFKA, AMQP = "kafka", "amqp"
KAFKA_BINDING, AMQP_BINDING = "0.5.0", "0.3.0"
STRUCTURED_JSON = "application/cloudevents+json"
SASL = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}


def servers(brokers: Mapping[str, Options]) -> dict[str, Described]:
    """Name -> server. Passwords are not part of it."""
    found: dict[str, Described] = {}
    for name, options in brokers.items():
        made = _kafka_servers(options) if _is_kafka(options) else [_rabbitmq_server(options)]
        found |= {
            name if number == 1 else f"{name}_{number}": server
            for number, server in enumerate(made, start=1)
        }
    return found


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
    for broker, options in brokers.items():
        describe = _topic if _is_kafka(options) else _routing_keys
        at = [{"$ref": f"#/servers/{name}"} for name in servers({broker: options})]
        for context in dict.fromkeys(map(context_of, messages)):
            ours = {name: each for name, each in messages.items() if context_of(name) == context}
            channel = describe(context, options, list(ours))
            channel["servers"] = at
            prefix = KAFKA if _is_kafka(options) else AMQP
            channel["messages"] = {
                name: _message(name, each, prefix, structured=structured)
                for name, each in ours.items()
            }
            found[f"{broker}_{context}"] = channel
    return found


def operations(brokers: Mapping[str, Options], contexts: Sequence[str]) -> dict[str, Described]:
    found: dict[str, Described] = {}
    for broker, options in brokers.items():
        for context in contexts:
            if _is_kafka(options):
                client = {"type": "string", "enum": [f"{context}.published@{broker}"]}
                binding: Described = {KAFKA: {"clientId": client, "bindingVersion": KAFKA_BINDING}}
            else:
                delivery: Described = {"deliveryMode": 2, "mandatory": True, "timestamp": True}
                binding = {AMQP: delivery | {"bindingVersion": AMQP_BINDING}}
            found[f"publish_{broker}_{context}"] = {
                "action": "send",
                "channel": {"$ref": f"#/channels/{broker}_{context}"},
                "bindings": binding,
            }
    return found


def schemas(brokers: Mapping[str, Options]) -> dict[str, Described]:
    """The headers of each protocol."""
    found = {}
    for options in brokers.values():
        prefix, name = ("ce_", KAFKA) if _is_kafka(options) else ("ce-", AMQP)
        found[_headers_name(name, structured=False)] = _headers(
            {f"{prefix}{attribute}": about for attribute, about in ATTRIBUTES.items()} | PLAIN,
            required=[f"{prefix}{attribute}" for attribute in REQUIRED] + list(PLAIN),
            with_content_type=name == KAFKA,
        )
        found[_headers_name(name, structured=True)] = _headers(
            PLAIN, required=list(PLAIN), with_content_type=name == KAFKA
        )
    return found


def context_of(type_: str) -> str:
    return type_.partition(".")[0]


def _is_kafka(options: Options) -> bool:
    return str(options["TRANSPORT"]).endswith(".Kafka")


def _kafka_servers(options: Options) -> Iterator[Described]:
    client = options["client"]
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


def _rabbitmq_server(options: Options) -> Described:
    url = urlsplit(options["url"])
    port = url.port or (5671 if url.scheme == "amqps" else 5672)
    return {
        "host": f"{url.hostname}:{port}",
        "protocol": url.scheme,
        "protocolVersion": "0.9.1",
        "description": f"RabbitMQ, virtual host {_virtual_host(options)}.",
        "security": [{"$ref": "#/components/securitySchemes/userPassword"}],
    }


def _virtual_host(options: Options) -> str:
    return unquote(urlsplit(options["url"]).path[1:]) or "/"


def _topic(context: str, options: Options, types: Sequence[str]) -> Described:
    binding = {"topic": f"events.{context}", "bindingVersion": KAFKA_BINDING}
    binding |= {"partitions": options.get("partitions", 6)}
    if (replicas := options.get("replication", -1)) > 0:
        binding["replicas"] = replicas
    return {
        "address": f"events.{context}",
        "description": f"{ABOUT} The key is the id of the aggregate.",
        "bindings": {KAFKA: binding},
    }


def _routing_keys(context: str, options: Options, types: Sequence[str]) -> Described:
    exchange = {
        "name": options.get("exchange", "domain-events"),
        "type": options.get("exchange_type", "topic"),
        "durable": True,
        "autoDelete": False,
        "vhost": _virtual_host(options),
    }
    return {
        "address": f"events.{context}.{{event}}",
        "description": f"{ABOUT} The address is the routing key.",
        "parameters": {"event": {"enum": [type_.partition(".")[2] for type_ in types]}},
        "bindings": {
            AMQP: {"is": "routingKey", "exchange": exchange, "bindingVersion": AMQP_BINDING}
        },
    }


def _message(type_: str, message: Described, prefix: str, *, structured: bool) -> Described:
    payload: Described = {"$ref": f"#/components/messages/{type_}/payload"}
    if structured:
        texts = {each: {"type": "string", "description": it} for each, it in ATTRIBUTES.items()}
        content_type = {"datacontenttype": {"const": "application/json"}}
        payload = {
            "type": "object",
            "properties": texts | content_type | {"data": payload},
            "required": [*REQUIRED, "datacontenttype", "data"],
        }
    key = {"type": "string", "description": "The id of the aggregate."}
    bindings: Described = {
        KAFKA: {"key": key, "bindingVersion": KAFKA_BINDING},
        AMQP: {"messageType": type_, "bindingVersion": AMQP_BINDING},
    }
    about: Described = {
        each: message[each] for each in ("name", "title", "description") if each in message
    }
    return {
        **about,
        "contentType": STRUCTURED_JSON if structured else "application/json",
        "headers": {"$ref": f"#/components/schemas/{_headers_name(prefix, structured=structured)}"},
        "payload": payload,
        "bindings": {prefix: bindings[prefix]},
    }


def _headers(
    names: Mapping[str, str], *, required: Sequence[str], with_content_type: bool
) -> Described:
    """RabbitMQ has a property for the content type; Kafka has a header."""
    if with_content_type:
        names = {**names, "content-type": "Of the value."}
        required = [*required, "content-type"]
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": about} for name, about in names.items()
        },
        "required": list(required),
    }


def _headers_name(prefix: str, *, structured: bool) -> str:
    mode = "Structured" if structured else "Binary"
    return f"{prefix.capitalize()}{mode}Headers"


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
