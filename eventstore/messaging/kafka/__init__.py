"""Apache Kafka as a broker of relays: the producer of a relay, and the administration of topics."""

from .administration import KafkaAdministration, topic_of
from .producer import Kafka

__all__ = ["Kafka", "KafkaAdministration", "topic_of"]
