"""What Debezium needs of Kafka besides the topics of the relays, and how a relay's own producer is
shut out."""

from eventstore import settings
from eventstore.messaging import brokers

HEARTBEATS = {"cleanup.policy": "delete", "retention.ms": "86400000"}


def is_kafka(broker: str) -> bool:
    return "bootstrap.servers" in settings.brokers().get(broker, {}).get("client", {})


def heartbeats(slot: str) -> str:
    """The topic of Debezium's heartbeats; the slot is the connector's topic.prefix."""
    return f"__debezium-heartbeat.{slot}"


def create_heartbeats(broker: str, slot: str) -> bool:
    """Returns False if the topic exists. Raises BrokerProblem."""
    return bool(brokers.administration(broker).create_topic(heartbeats(slot), HEARTBEATS))


def fence(broker: str, relay: str) -> None:
    """What a process of the relay has begun is aborted, and nothing more of it arrives. Without
    transactions nothing happens. Raises BrokerProblem."""
    brokers.administration(broker).fence(relay)
