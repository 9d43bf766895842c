"""RabbitMQ as a broker of relays: the publisher of a relay, and the administration of exchange and
queues."""

from .administration import RabbitMQAdministration
from .publisher import RabbitMQ, routing_key

__all__ = ["RabbitMQ", "RabbitMQAdministration", "routing_key"]
