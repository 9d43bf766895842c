"""Brokers of the environment, as the options of the relays' transports."""

from typing import Any

from config.variables import Variables

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
EXCHANGES = ("topic", "direct", "fanout", "headers")
AWS = ("sns", "eventbridge")


def from_environment(env: Variables) -> dict[str, dict[str, Any]]:
    """Only the brokers that the environment names; the settings of the others are read, too."""
    kafka, rabbitmq, of_aws = _kafka(env), _rabbitmq(env), _aws(env)
    found = {name: of_aws[name] for name in env.choices("AWS_BROKERS", AWS, default=())}
    if "bootstrap.servers" in kafka["client"]:
        found["kafka"] = kafka
    if rabbitmq["url"]:
        found["rabbitmq"] = rabbitmq
    return found


def _kafka(env: Variables) -> dict[str, Any]:
    client = {
        "bootstrap.servers": env.str("KAFKA_BOOTSTRAP_SERVERS", default=""),
        "security.protocol": env.choice("KAFKA_SECURITY_PROTOCOL", PROTOCOLS, default="PLAINTEXT"),
        "sasl.mechanisms": env.str("KAFKA_SASL_MECHANISM", default=""),
        "sasl.username": env.str("KAFKA_SASL_USERNAME", default=""),
        "sasl.password": env.str("KAFKA_SASL_PASSWORD", default=""),
        "ssl.ca.location": env.str("KAFKA_CA", default=""),
        "ssl.certificate.location": env.str("KAFKA_CERTIFICATE", default=""),
        "ssl.key.location": env.str("KAFKA_KEY", default=""),
        "ssl.key.password": env.str("KAFKA_KEY_PASSWORD", default=""),
    }
    return {
        "TRANSPORT": "eventstore.messaging.kafka.Kafka",
        "client": {option: value for option, value in client.items() if value},
        "transactions": env.bool("KAFKA_TRANSACTIONS", default=True),
        "max_message_bytes": env.int("KAFKA_MAX_MESSAGE_BYTES", default=1_000_000, least=1000),
        "partitions": env.int("KAFKA_PARTITIONS", default=6, least=1),
        "replication": env.int("KAFKA_REPLICATION", default=-1, least=-1),
    }


def _rabbitmq(env: Variables) -> dict[str, Any]:
    return {
        "TRANSPORT": "eventstore.messaging.rabbitmq.RabbitMQ",
        "url": env.address("RABBITMQ_URL", ("amqp", "amqps"), default=""),
        "ca": env.str("RABBITMQ_CA", default=""),
        "exchange": env.str("RABBITMQ_EXCHANGE", default="domain-events"),
        "exchange_type": env.choice("RABBITMQ_EXCHANGE_TYPE", EXCHANGES, default="topic"),
        "max_message_bytes": env.int("RABBITMQ_MAX_MESSAGE_BYTES", default=16 << 20, least=1000),
    }


def _aws(env: Variables) -> dict[str, dict[str, Any]]:
    aws = {
        "region": env.str("AWS_REGION", default="eu-central-1"),
        "endpoint": env.address("AWS_ENDPOINT", ("http", "https"), default=""),
    }
    return {
        "sns": {
            "TRANSPORT": "eventstore.messaging.aws.sns.Sns",
            **aws,
            "fifo": env.bool("SNS_FIFO", default=True),
        },
        "eventbridge": {
            "TRANSPORT": "eventstore.messaging.aws.eventbridge.EventBridge",
            **aws,
            "bus": env.str("EVENTBRIDGE_BUS", default="domain-events"),
        },
    }


def schema_registry(env: Variables) -> dict[str, Any]:
    """As the options of the stock client; empty without an address."""
    url = env.address("SCHEMA_REGISTRY_URL", ("http", "https"), default="")
    token = env.str("SCHEMA_REGISTRY_TOKEN", default="")
    bearer = {
        "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": token,
        # The client demands one; it names a cluster of Confluent Cloud.
        "bearer.auth.logical.cluster": "none",
    }
    options = {"url": url, "ssl.ca.location": env.str("SCHEMA_REGISTRY_CA", default="")}
    found = {name: value for name, value in options.items() if value}
    return found | (bearer if token else {}) if url else {}
