"""KAFKA_… and RABBITMQ_… of the environment, as the options of the relays' transports."""

from typing import Any

from config.variables import Variables

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
EXCHANGES = ("topic", "direct", "fanout", "headers")
# Passed through to librdkafka, where they are set.
KAFKA_CLIENT = {
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanisms",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_CA": "ssl.ca.location",
    "KAFKA_CERTIFICATE": "ssl.certificate.location",
    "KAFKA_KEY": "ssl.key.location",
    "KAFKA_KEY_PASSWORD": "ssl.key.password",
}


def from_environment(env: Variables) -> dict[str, dict[str, Any]]:
    """Only the brokers that the environment names."""
    found = {"kafka": _kafka(env), "rabbitmq": _rabbitmq(env)}
    return {name: options for name, options in found.items() if options}


def _kafka(env: Variables) -> dict[str, Any]:
    servers = env.str("KAFKA_BOOTSTRAP_SERVERS", default="")
    given = {option: env.str(name, default="") for name, option in KAFKA_CLIENT.items()}
    env.choice("KAFKA_SECURITY_PROTOCOL", PROTOCOLS, default="PLAINTEXT")
    options = {
        "TRANSPORT": "eventstore.messaging.kafka.Kafka",
        "client": {"bootstrap.servers": servers, **{k: v for k, v in given.items() if v}},
        # Exactly once for consumers that read committed messages only; off for brokers that have
        # no transactions.
        "transactions": env.bool("KAFKA_TRANSACTIONS", default=True),
        "max_message_bytes": env.int("KAFKA_MAX_MESSAGE_BYTES", default=1_000_000, least=1000),
        "partitions": env.int("KAFKA_PARTITIONS", default=6, least=1),
        # -1: the broker's default
        "replication": env.int("KAFKA_REPLICATION", default=-1, least=-1),
    }
    return options if servers else {}


def _rabbitmq(env: Variables) -> dict[str, Any]:
    url = env.address("RABBITMQ_URL", ("amqp", "amqps"), default="")
    options = {
        "TRANSPORT": "eventstore.messaging.rabbitmq.RabbitMQ",
        "url": url,
        "ca": env.str("RABBITMQ_CA", default=""),
        "exchange": env.str("RABBITMQ_EXCHANGE", default="domain-events"),
        "exchange_type": env.choice("RABBITMQ_EXCHANGE_TYPE", EXCHANGES, default="topic"),
        "max_message_bytes": env.int("RABBITMQ_MAX_MESSAGE_BYTES", default=16 << 20, least=1000),
    }
    return options if url else {}
