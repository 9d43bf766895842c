"""The settings of the partner: its own database, and one broker that it shares with the shop."""

import sys
from pathlib import Path

import environ

from eventstore import defaults

env = environ.Env()

SECRET_KEY = "unused: this service has no web pages"
INSTALLED_APPS = ["eventstore", "eventstore.messaging", "examples.loyalty"]
USE_TZ = True
# Not DATABASE_URL, which is the shop's in the shop's shell.
DATABASES = {
    "default": env.db_url(
        "LOYALTY_DATABASE_URL", default="postgresql://postgres@127.0.0.1:5432/loyalty"
    )
}
DATABASES["default"] |= {
    "CONN_MAX_AGE": None,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": defaults.joined(
        defaults.connection(name=f"loyalty {defaults.process_name(sys.argv)}"),
        DATABASES["default"].get("OPTIONS", {}),
    ),
}

EVENTSTORE_WIRING = "examples.loyalty.wiring"
# There is no Celery; manage.py work polls.
EVENTSTORE_WAKE_WORKERS = False
EVENTSTORE_SCHEMAS = Path(__file__).parent / "schemas"
EVENTSTORE_EVENT_SOURCE = "/loyalty"

# The shop publishes the same events on each of its brokers, so one is enough: Kafka, if it is set.
if kafka := env.str("KAFKA_BOOTSTRAP_SERVERS", default=""):
    EVENTSTORE_BROKERS = {
        "kafka": {
            "TRANSPORT": "eventstore.messaging.kafka.Kafka",
            "client": {"bootstrap.servers": kafka},
        }
    }
elif rabbitmq := env.str("RABBITMQ_URL", default=""):
    EVENTSTORE_BROKERS = {
        "rabbitmq": {"TRANSPORT": "eventstore.messaging.rabbitmq.RabbitMQ", "url": rabbitmq}
    }
