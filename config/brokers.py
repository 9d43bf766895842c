"""Brokers of the environment, as the options of the relays' transports."""

from typing import Any

from config.variables import Variables

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
EXCHANGES = ("topic", "direct", "fanout", "headers")


def from_environment(env: Variables) -> dict[str, dict[str, Any]]:
    """Only the brokers that the environment names."""
    servers = env.str("KAFKA_BOOTSTRAP_SERVERS", default="")
    client = {
        "bootstrap.servers": servers,
        "security.protocol": env.choice("KAFKA_SECURITY_PROTOCOL", PROTOCOLS, default="PLAINTEXT"),
        "sasl.mechanisms": env.str("KAFKA_SASL_MECHANISM", default=""),
        "sasl.username": env.str("KAFKA_SASL_USERNAME", default=""),
        "sasl.password": env.str("KAFKA_SASL_PASSWORD", default=""),
        "ssl.ca.location": env.str("KAFKA_CA", default=""),
        "ssl.certificate.location": env.str("KAFKA_CERTIFICATE", default=""),
        "ssl.key.location": env.str("KAFKA_KEY", default=""),
        "ssl.key.password": env.str("KAFKA_KEY_PASSWORD", default=""),
    }
    kafka = {
        "TRANSPORT": "eventstore.messaging.kafka.Kafka",
        "client": {option: value for option, value in client.items() if value},
        "transactions": env.bool("KAFKA_TRANSACTIONS", default=True),
        "max_message_bytes": env.int("KAFKA_MAX_MESSAGE_BYTES", default=1_000_000, least=1000),
        "partitions": env.int("KAFKA_PARTITIONS", default=6, least=1),
        "replication": env.int("KAFKA_REPLICATION", default=-1, least=-1),
    }
    rabbitmq = {
        "TRANSPORT": "eventstore.messaging.rabbitmq.RabbitMQ",
        "url": env.address("RABBITMQ_URL", ("amqp", "amqps"), default=""),
        "ca": env.str("RABBITMQ_CA", default=""),
        "exchange": env.str("RABBITMQ_EXCHANGE", default="domain-events"),
        "exchange_type": env.choice("RABBITMQ_EXCHANGE_TYPE", EXCHANGES, default="topic"),
        "max_message_bytes": env.int("RABBITMQ_MAX_MESSAGE_BYTES", default=16 << 20, least=1000),
    }
    found: dict[str, dict[str, Any]] = {}
    if servers:
        found["kafka"] = kafka
    if rabbitmq["url"]:
        found["rabbitmq"] = rabbitmq
    return found
