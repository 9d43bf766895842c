"""manage.py brokers [--create [--tap]]: whether each broker has what relays and consumers need."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.template.defaultfilters import pluralize

from eventstore import settings
from eventstore.management.command import EscapingCommand
from eventstore.messaging import brokers, relay
from eventstore.messaging.transport import BrokerProblem


class Command(EscapingCommand):
    help = (
        "Say which topics, exchanges and queues relays and consumers need and lack, or create them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--create", action="store_true", help="create what is missing")
        parser.add_argument(
            "--tap",
            action="store_true",
            help="with --create, on RabbitMQ: also a queue that keeps the last messages of all",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.brokers():
            self.stdout.write("No broker is configured: set KAFKA_BOOTSTRAP_SERVERS, RABBITMQ_URL.")
        problems = []
        for name in settings.brokers():
            try:
                administration, relays = brokers.administration(name), relay.published_by(name)
                readings = brokers.readings(name)
                if options["create"]:
                    for made in administration.create(relays, readings, tap=options["tap"]):
                        self.stdout.write(f"{name}: created {made}")
                elif missing := administration.missing(relays, readings):
                    raise CommandError(
                        f"{name} lacks {', '.join(missing)}; create it: manage.py brokers --create"
                    )
                elif differing := administration.declared_otherwise(readings):
                    raise CommandError(
                        f"{name} declares otherwise: {'; '.join(differing)}. Empty such a queue,"
                        " delete it, and create it again: manage.py brokers --create"
                    )
                needed_by = (
                    f"{len(relays)} relay{pluralize(len(relays))} and"
                    f" {len(readings)} consumer{pluralize(len(readings))} need"
                )
                self.stdout.write(f"{name}: has all that {needed_by}")
            except BrokerProblem as problem:
                problems.append(f"{name}: {type(problem).__name__}: {problem}")
        if problems:
            raise CommandError("\n".join(problems))
