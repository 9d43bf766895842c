"""The environment that children get; the one place beside config/settings.py that reads the
environment."""

import os
from collections.abc import Mapping

DATABASE = "DATABASE_URL"
REDIS = "REDIS_URL"
BROKER = "CELERY_BROKER_URL"
KAFKA = "KAFKA_BOOTSTRAP_SERVERS"
RABBITMQ = "RABBITMQ_URL"
SECRET = "SECRET_KEY"
# On a machine of one's own: what is bought here is neither paid nor sent, and the passwords are
# public.
STAND_INS = {"PAYMENT_GATEWAY": "sandbox", "CARRIER": "sandbox", "ALLOW_DEMO": "1"}
# No balancer has to notice that a run on this machine ends.
DRAIN = "WEB_DRAIN_SECONDS"


def given(name: str) -> str | None:
    return os.environ.get(name) or None


def with_settings(settings: Mapping[str, str]) -> dict[str, str]:
    return {**STAND_INS, **os.environ, **settings}


def of_commands(environment: Mapping[str, str]) -> dict[str, str]:
    """What a command needs to work on the same services."""
    return {
        name: environment[name]
        for name in (DATABASE, REDIS, BROKER, KAFKA, RABBITMQ, SECRET, *STAND_INS)
        if name in environment
    }


def export(settings: Mapping[str, str]) -> None:
    os.environ.update(settings)


def preferred_port() -> int:
    return int(given("PORT") or 8000)
