"""manage.py consume [NAME…]: read from brokers for the consumers."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import registry
from eventstore.delivery import heartbeats, readers
from eventstore.management import processes
from eventstore.management.command import EscapingCommand
from eventstore.subscriptions import Consumer


class Command(EscapingCommand):
    help = (
        "Read from Kafka and RabbitMQ for the consumers of the wiring, until SIGTERM or SIGINT. Any"
        " number of these may run, on any machine."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="of consumers; all by default")

    def handle(self, *args: Any, **options: Any) -> None:
        if unknown := sorted(set(options["names"]) - set(registry.of_kind(Consumer))):
            known = ", ".join(registry.of_kind(Consumer)) or "none"
            raise CommandError(f"No consumer {', '.join(unknown)} in the wiring; it has: {known}.")
        processes.demand_guarantees()
        started = readers.readers(options["names"])
        if not started:
            raise CommandError(
                "No consumer has a broker: set KAFKA_BOOTSTRAP_SERVERS or RABBITMQ_URL."
            )
        heartbeats.call("consume")
        stop = processes.begin()
        for each in started:
            each.start()
        self.stdout.write(f"Reading for {', '.join(each.name for each in started)}.")
        self.stdout.flush()
        while not stop.wait(1.0) and all(each.thread.is_alive() for each in started):
            pass
        for each in started:
            each.stop()
        for each in started:
            each.join()
        heartbeats.sign_off(*(heartbeats.consumer(each.name) for each in started))
