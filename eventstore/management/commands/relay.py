"""manage.py relay: the relays to Kafka and RabbitMQ in a process of their own."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eventstore import guarantees, registry
from eventstore.delivery import heartbeats, relays, worker
from eventstore.subscriptions import Relay


class Command(BaseCommand):
    help = (
        "Publish to the brokers until SIGTERM or SIGINT. While it runs, workers leave the relays to"
        " it. A second one takes over when it dies."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not registry.of_kind(Relay):
            raise CommandError("No relay: set KAFKA_BOOTSTRAP_SERVERS or RABBITMQ_URL.")
        try:
            guarantees.demand()
        except guarantees.Broken as error:
            raise CommandError(str(error)) from None
        heartbeats.call("relay")
        worker.freeze_imports()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        relays.serve(stop)
