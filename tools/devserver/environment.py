"""The environment of child processes; only this module and config/settings.py read the
environment."""

import os
import shlex
from collections.abc import Mapping

DATABASE = "DATABASE_URL"
REDIS = "REDIS_URL"
BROKER = "CELERY_BROKER_URL"
KAFKA = "KAFKA_BOOTSTRAP_SERVERS"
RABBITMQ = "RABBITMQ_URL"
# SNS and EventBridge, which run elsewhere.
AWS = "AWS_BROKERS"
# Change data capture: whether Kafka Connect runs, its address, and PostgreSQL's slot.
CDC = "CDC"
CONNECT = "CDC_CONNECT_URL"
CDC_SLOT = "CDC_SLOT"
# Of the second service, examples/loyalty: whether it runs, and its database.
PARTNER = "PARTNER"
PARTNER_DATABASE = "LOYALTY_DATABASE_URL"
SECRET = "SECRET_KEY"
# For a development machine: orders are neither paid nor shipped, and passwords are public.
STAND_INS = {"PAYMENT_GATEWAY": "sandbox", "CARRIER": "sandbox", "ALLOW_DEMO": "1"}
# No load balancer has to notice that the server stops.
DRAIN = "WEB_DRAIN_SECONDS"


def given(name: str) -> str | None:
    return os.environ.get(name) or None


def with_settings(settings: Mapping[str, str]) -> dict[str, str]:
    return {**STAND_INS, **os.environ, **settings}


def of_commands(environment: Mapping[str, str]) -> dict[str, str]:
    """The part that a command needs to use the same services."""
    services = (
        *(DATABASE, PARTNER_DATABASE, REDIS, BROKER, KAFKA, RABBITMQ),
        *(CONNECT, CDC_SLOT),
    )
    return {
        name: environment[name] for name in (*services, SECRET, *STAND_INS) if name in environment
    }


def as_exports(environment: Mapping[str, str]) -> str:
    """For a shell to source."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def exported(text: str) -> dict[str, str]:
    """What as_exports has written."""
    words = shlex.split(text)
    return dict(word.split("=", 1) for word in words if word != "export")


def export(settings: Mapping[str, str]) -> None:
    os.environ.update(settings)


def preferred_port() -> int:
    return int(given("PORT") or 8000)
