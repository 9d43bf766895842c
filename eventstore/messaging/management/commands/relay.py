"""manage.py relay: the relays to Kafka and RabbitMQ in a process of their own."""

from typing import Any

from django.core.management.base import CommandError

from eventstore import registry
from eventstore.delivery import heartbeats, relays
from eventstore.management import processes
from eventstore.management.command import EscapingCommand
from eventstore.subscriptions import Relay


class Command(EscapingCommand):
    help = (
        "Publish to the brokers until SIGTERM or SIGINT. While it runs, workers leave the relays to"
        " it. A second one takes over when it dies."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not registry.of_kind(Relay):
            raise CommandError("No relay: set KAFKA_BOOTSTRAP_SERVERS or RABBITMQ_URL.")
        processes.demand_guarantees()
        heartbeats.call("relay")
        relays.serve(processes.begin())
